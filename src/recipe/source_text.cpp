// Part of Ropewalk, MIT licence.
#include "recipe/source_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/printable.h"

namespace rw::recipe {
namespace {

constexpr std::size_t kMostShown = 200;  // bytes of a line
constexpr const char* kByteOrderMark = "\xef\xbb\xbf";

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '\n') {
      if (!out.back().empty() && out.back().back() == '\r') out.back().pop_back();
      out.emplace_back();
    } else {
      out.back().push_back(c);
    }
  }
  return out;
}

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// The first byte of a line that is no text, and why.
struct Flaw {
  std::size_t byte = 0;
  std::string message;
};

std::optional<Flaw> flaw_of(const std::string& line) {
  const std::size_t indent = std::min(line.find_first_not_of(" \t"), line.size());
  if (const std::size_t tab = line.find('\t'); tab < indent) {
    return Flaw{tab, "got a tab in the indentation, want spaces; try two of them per level"};
  }
  for (std::size_t at = 0; at < line.size();) {
    const unsigned byte = byte_at(line, at);
    const std::size_t size = core::utf8_bytes(line, at);
    if (size == 0) {
      return Flaw{
          at, fmt::format("got the byte 0x{:02x}, which is no UTF-8, want text in UTF-8", byte)};
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7F) {
      return Flaw{at, fmt::format("got the control character 0x{:02x}, want text", byte)};
    }
    at += size;
  }
  return std::nullopt;
}

}  // namespace

SourceText::SourceText(const std::string& text, std::string name, std::size_t first)
    : lines_(split_lines(text)), name_(std::move(name)), first_(first) {
  if (lines_.front().rfind(kByteOrderMark, 0) == 0) lines_.front().erase(0, 3);
}

std::size_t SourceText::byte_of(int line, int byte) const {
  return static_cast<std::size_t>(std::max(0, byte)) + (line <= 0 ? first_ : 0);
}

int SourceText::column_of(std::size_t row, std::size_t byte) const {
  if (row != last_.row || byte < last_.byte) last_ = {row, 0, 1};
  const std::string& line = lines_[row];
  while (last_.byte < std::min(byte, line.size())) {
    last_.byte += std::max<std::size_t>(1, core::utf8_bytes(line, last_.byte));
    ++last_.column;
  }
  return last_.column;
}

Place SourceText::place(int line, int byte) const {
  Place out{name_, std::max(0, line) + 1, 1, "", 1};
  const auto row = static_cast<std::size_t>(out.line - 1);
  if (row >= lines_.size()) return out;
  const std::string_view text = lines_[row];
  const std::size_t at = std::min(byte_of(line, byte), text.size());
  out.column = out.caret = column_of(row, at);
  if (text.size() <= kMostShown) {
    out.source = text;
    return out;
  }
  const auto whole = [&](std::size_t end) {  // not within a character
    while (end > 0 && end < text.size() && (byte_at(text, end) & 0xC0U) == 0x80U) --end;
    return end;
  };
  const std::size_t begin = whole(at - std::min(at, kMostShown / 2));
  const std::size_t end = whole(std::min(text.size(), begin + kMostShown));
  const SourceText before(std::string(text.substr(begin, at - begin)), "");
  out.caret = before.column_of(0, at - begin) + (begin > 0 ? 1 : 0);
  out.source = fmt::format("{}{}{}", begin > 0 ? "…" : "", text.substr(begin, end - begin),
                           end < text.size() ? "…" : "");
  return out;
}

bool SourceText::closes_quote(int line, int byte) const {
  const auto row = static_cast<std::size_t>(std::max(0, line));
  std::size_t at = byte_of(line, byte);
  if (row >= lines_.size() || at >= lines_[row].size()) return true;
  const std::string& text = lines_[row];
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return true;  // a block of text
  while (++at < text.size()) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || at + 1 >= text.size() || text[at + 1] != quote) return true;
      ++at;  // '' stands for one '
    }
  }
  return false;
}

bool SourceText::is_text(Book& book) const {
  bool good = true;
  for (std::size_t row = 0; row < lines_.size(); ++row) {
    const auto flaw = flaw_of(lines_[row]);
    if (!flaw) continue;
    good = false;
    const std::size_t first = row == 0 ? std::min(first_, flaw->byte) : 0;
    book.complain(place(static_cast<int>(row), static_cast<int>(flaw->byte - first)), "recipe",
                  flaw->message);
  }
  return good;
}

}  // namespace rw::recipe
