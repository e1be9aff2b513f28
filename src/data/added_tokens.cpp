// Part of Ropewalk, MIT licence.
#include "data/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

#include "data/text_source_utf8.h"
#include "data/unicode_supplement.h"

namespace rw::data {
namespace {

/// Unicode's White_Space.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

/// Alphabetic, marks, decimal digits, connectors, joiners: a word character of UTS 18.
bool is_word(char32_t c) {
  const std::string_view added = added_category(c);
  if (!added.empty()) return added[0] == 'L' || added[0] == 'M' || added == "Nd";
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:  // the symbols that count as letters, and the two joiners
      return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
             (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189) || c == 0x200c ||
             c == 0x200d;
  }
}

/// Where the character that ends before `end` begins.
std::size_t step_back(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80) --at;
  return at;
}

bool word_touches(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0 && is_word(code_point_at(text, step_back(text, begin)).value)) return true;
  return end < text.size() && is_word(code_point_at(text, end).value);
}

std::size_t space_before(std::string_view text, std::size_t begin) {
  while (begin > 0) {
    const std::size_t at = step_back(text, begin);
    if (!is_space(code_point_at(text, at).value)) break;
    begin = at;
  }
  return begin;
}

std::size_t space_behind(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    const CodePoint next = code_point_at(text, end);
    if (!is_space(next.value)) break;
    end += next.bytes;
  }
  return end;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens)
    : tokens_(tokens), nodes_(1) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& content = tokens_[i].content;
    if (content.empty()) continue;
    begins_[static_cast<unsigned char>(content[0])] = true;
    longest_bytes_ = std::max(longest_bytes_, content.size());
    alone_ = alone_ || tokens_[i].single_word;
    std::size_t node = 0;
    for (const char c : content) {
      const auto [entry, fresh] =
          nodes_[node].next.try_emplace(static_cast<unsigned char>(c), nodes_.size());
      node = entry->second;
      if (fresh) nodes_.emplace_back();
    }
    nodes_[node].token = static_cast<int>(i);
  }
}

AddedTokenFinder::Match AddedTokenFinder::longest_at(std::string_view text, std::size_t at) const {
  Match best;
  std::size_t node = 0;
  for (std::size_t end = at; end < text.size(); ++end) {
    const auto next = nodes_[node].next.find(static_cast<unsigned char>(text[end]));
    if (next == nodes_[node].next.end()) break;
    node = next->second;
    if (nodes_[node].token >= 0) best = {end + 1 - at, nodes_[node].token};
  }
  return best;
}

void AddedTokenFinder::walk(std::string_view text, const Segment& segment) const {
  std::size_t given = 0;  // all before it has been given out
  for (std::size_t at = 0; at < text.size();) {
    if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const Match match = longest_at(text, at);
    if (match.token < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.token)];
    std::size_t begin = at, end = at + match.bytes;
    at = end;
    if (token.single_word && word_touches(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(given, space_before(text, begin));
    if (token.rstrip) end = space_behind(text, end);
    // A token of white space may lie in what the token before it has taken along: it counts once
    // more, unless it takes along what is before it, which leaves nothing.
    if (begin < end) {
      if (given < begin && !segment(given, begin, -1)) return;
      if (!segment(begin, end, match.token)) return;
    }
    given = end;
  }
  if (given < text.size()) segment(given, text.size(), -1);
}

void AddedTokenFinder::split(std::string_view text,
                             const std::function<void(std::string_view)>& plain,
                             const std::function<void(std::int32_t)>& found) const {
  walk(text, [&](std::size_t begin, std::size_t end, int token) {
    if (token < 0) {
      plain(text.substr(begin, end - begin));
    } else {
      found(tokens_[static_cast<std::size_t>(token)].id);
    }
    return true;
  });
}

std::size_t AddedTokenFinder::split_front(
    std::string_view text, const std::function<void(std::string_view)>& plain,
    const std::function<void(std::int32_t)>& found,
    const std::function<std::size_t(std::string_view)>& open) const {
  if (alone_) return 0;
  if (longest_bytes_ == 0) return open(text);
  // A token that begins before the limit is whole, and the white space before it is not at the limit.
  std::size_t limit = text.size() - std::min(text.size(), longest_bytes_);
  while (limit > 0) {
    const std::size_t before = step_back(text, limit);
    const bool inside = (static_cast<unsigned char>(text[limit]) & 0xc0U) == 0x80;
    if (!inside && !is_space(code_point_at(text, before).value)) break;
    limit = before;
  }
  std::size_t taken = 0;
  walk(text, [&](std::size_t begin, std::size_t end, int token) {
    if (begin >= limit) return false;
    if (token < 0 && end >= limit) {
      taken = begin + open(text.substr(begin, limit - begin));
      return false;
    }
    if (end == text.size()) return false;  // it may take more white space along
    if (token < 0) {
      plain(text.substr(begin, end - begin));
    } else {
      found(tokens_[static_cast<std::size_t>(token)].id);
    }
    taken = end;
    return true;
  });
  return taken;
}

}  // namespace rw::data
