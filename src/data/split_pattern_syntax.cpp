// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "core/error.h"
#include "data/split_pattern.h"
#include "data/unicode_supplement.h"

namespace rw::data {
namespace {

constexpr std::string_view kWordClass = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
/// Outside of a character class Oniguruma counts these of Latin-1 as word characters too.
constexpr std::string_view kMoreOutside = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The added code points of a category ("Lu") or of a group of them ("L"), inside a class.
std::string added_class(std::string_view category) {
  std::string result;
  for (const auto& range : added_ranges()) {
    if (!std::string_view(range.category).starts_with(category)) continue;
    result += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<std::uint32_t>(range.first),
                          static_cast<std::uint32_t>(range.last));
  }
  return result;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Walks through one expression; refuses what it cannot say in PCRE2.
class Translation {
 public:
  Translation(std::string_view from, const std::string& where, bool added)
      : from_(from), where_(where), added_(added) {
    word_class_ = kWordClass;
    if (!added) return;
    for (const char* category : {"L", "M", "Nd", "Nl", "Pc"}) word_class_ += added_class(category);
  }

  std::string run() {
    while (at_ < from_.size()) {
      const char c = from_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        character_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        interval();
      } else if (c == '^' || c == '$') {
        refuse(fmt::format("the anchor `{}`", c));
      } else {
        to_ += c;
        ++at_;
      }
    }
    return to_;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("{}: the split pattern `{}` has {}, which is not supported; use "
                                  "scripts/tokenize_hf.py for this tokenizer",
                                  where_, from_, what));
  }

  [[noreturn]] void invalid(const std::string& what) const {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("{}: the split pattern `{}` has {}, which the `tokenizers` "
                                  "package does not read either; want one in Ruby's syntax",
                                  where_, from_, what));
  }

  bool next_is(std::string_view text) const { return from_.substr(at_).starts_with(text); }

  void put(std::string_view text, std::size_t taken) {
    to_ += text;
    at_ += taken;
  }

  void escape(bool in_class) {
    if (at_ + 1 >= from_.size()) refuse("a backslash at its end");
    const char c = from_[at_ + 1];
    if (c == 's') return put(R"(\p{White_Space})", 2);
    if (c == 'S') return put(R"(\P{White_Space})", 2);
    if (c == 'w')
      return put(in_class ? word_class_ : fmt::format("[{}{}]", word_class_, kMoreOutside), 2);
    if (c == 'W' && !in_class) return put(fmt::format("[^{}{}]", word_class_, kMoreOutside), 2);
    if (c == 'd' || c == 'D') {
      at_ += 2;
      return put_category("Nd", c == 'D', in_class);
    }
    if (c == 'v') return put(R"(\x0b)", 2);
    if (c == 'p' || c == 'P') return property(c, in_class);
    if (c == 'x' || c == 'u') return code_point(c);
    if (c == 'C') invalid("the escape `\\C`");
    if (is_letter(c) || is_digit(c)) {
      if (std::string_view("rntfae").find(c) == std::string_view::npos) {
        refuse(fmt::format("the escape `\\{}`", c));
      }
    }
    put(from_.substr(at_, 2), 2);
  }

  void property(char letter, bool in_class) {
    const std::size_t end = from_.find('}', at_);
    if (at_ + 2 >= from_.size() || from_[at_ + 2] != '{' || end == std::string_view::npos) {
      refuse("a property without braces");
    }
    std::string_view name = from_.substr(at_ + 3, end - at_ - 3);
    bool inverted = letter == 'P';
    if (name.starts_with('^')) {
      inverted = !inverted;
      name.remove_prefix(1);
    }
    if (name.empty()) refuse("a property without a name");
    // Scripts have grown since PCRE2's Unicode, and `C` has shrunk: only categories are the same.
    const bool category =
        name.size() <= 2 && name[0] != 'C' && is_letter(name[0]) && is_letter(name.back());
    if (!category) refuse(fmt::format("the property `{}`", name));
    at_ = end + 1;
    put_category(name, inverted, in_class);
  }

  void put_category(std::string_view name, bool inverted, bool in_class) {
    if (inverted && in_class) refuse("a negated property in a character class");
    const std::string all = fmt::format("\\p{{{}}}{}", name, added_ ? added_class(name) : "");
    to_ += in_class ? all : fmt::format("[{}{}]", inverted ? "^" : "", all);
  }

  void code_point(char letter) {
    std::size_t first = at_ + 2;
    std::size_t last = first;
    const bool braces = letter == 'x' && first < from_.size() && from_[first] == '{';
    if (braces) last = ++first;
    const std::size_t limit = braces ? 6 : letter == 'x' ? 2 : 4;
    while (last < from_.size() && last - first < limit &&
           std::isxdigit(static_cast<unsigned char>(from_[last])) != 0) {
      ++last;
    }
    const std::string_view digits = from_.substr(first, last - first);
    const bool closed = !braces || (last < from_.size() && from_[last] == '}');
    if (digits.empty() || !closed || (letter == 'u' && digits.size() != 4)) {
      refuse("a code point that is not written out");
    }
    if (!braces && letter == 'x' && std::stoi(std::string(digits), nullptr, 16) > 0x7f) {
      refuse("a single byte above \\x7f");
    }
    to_ += fmt::format("\\x{{{}}}", digits);
    at_ = last + (braces ? 1 : 0);
  }

  void character_class() {
    put("[", 1);
    if (next_is("^")) put("^", 1);
    if (next_is("]")) refuse("a character class that begins with `]`");
    while (!next_is("]")) {
      if (at_ >= from_.size()) refuse("an open character class");
      if (next_is("[")) refuse("a character class inside another");
      if (next_is("&&")) refuse("the intersection `&&`");
      if (next_is("\\")) {
        escape(true);
      } else {
        put(from_.substr(at_, 1), 1);
      }
    }
    put("]", 1);
  }

  void group() {
    if (next_is("(*")) invalid(fmt::format("the verb `{}`", until(')')));
    if (!next_is("(?")) return put("(", 1);
    for (const std::string_view pcre : {"(?C", "(?R", "(?P", "(?&", "(?|", "(?+"}) {
      if (next_is(pcre)) invalid(fmt::format("the group `{}`", until(')')));
    }
    if (at_ + 2 < from_.size() && is_digit(from_[at_ + 2])) {
      invalid(fmt::format("the group `{}`", until(')')));
    }
    for (const std::string_view known :
         {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (next_is(known)) return put(known, known.size());
    }
    refuse(fmt::format("the group `{}`", from_.substr(at_, 4)));
  }

  /// From here to that character, for a message.
  std::string_view until(char end) const {
    constexpr std::size_t kShown = 40;
    return from_.substr(at_, std::min(from_.find(end, at_) + 1 - at_, kShown));
  }

  void interval() {
    std::size_t end = at_ + 1;
    while (end < from_.size() && (is_digit(from_[end]) || from_[end] == ',')) ++end;
    if (end >= from_.size() || from_[end] != '}' || end == at_ + 1) return put("\\{", 1);
    const std::string_view inside = from_.substr(at_ + 1, end - at_ - 1);
    const char after = end + 1 < from_.size() ? from_[end + 1] : '\0';
    if (after == '+' || (after == '?' && inside.find(',') == std::string_view::npos)) {
      refuse(fmt::format("the quantifier `{{{}}}{}`", inside, after));
    }
    to_ += fmt::format("{{{}{}}}", inside.starts_with(',') ? "0" : "", inside);
    at_ = end + 1;
  }

  std::string_view from_;
  const std::string& where_;
  bool added_;
  std::string word_class_;
  std::size_t at_ = 0;
  std::string to_;
};

}  // namespace

std::string pcre_from_ruby(std::string_view expression, const std::string& where, bool added) {
  return Translation(expression, where, added).run();
}

}  // namespace rw::data
