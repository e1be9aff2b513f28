// Part of Ropewalk, MIT licence.
#include "core/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "core/json_field.h"
#include "core/utf8.h"

namespace rw::core {
namespace {

constexpr std::string_view kMark = "\xef\xbb\xbf";
constexpr std::string_view kTrue = "true", kFalse = "false", kNull = "null";
constexpr std::size_t kShownBytes = 40;

/// A text that ends too early.
class Torn : public Error {
 public:
  using Error::Error;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

void append_utf8(unsigned code, std::string& out) {
  const auto put = [&out](unsigned byte) { out += static_cast<char>(byte); };
  const auto tail = [&](unsigned shift) { put(0x80U | ((code >> shift) & 0x3fU)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0U | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0U | code >> 12);
    tail(6);
  } else {
    put(0xf0U | code >> 18);
    tail(12);
    tail(6);
  }
  tail(0);
}

/// One text on its way into a value.
class Reader {
 public:
  Reader(std::string_view text, const JsonSource& source) : text_(text), source_(source) {}

  Json read() {
    const std::size_t bad = find_invalid_utf8(text_);
    if (bad != std::string_view::npos) {
      const Utf8Sequence sequence = utf8_sequence_at(text_, bad);
      if (bad + sequence.good == text_.size() && sequence.good > 0) at_ = text_.size();
      fail(bad,
           fmt::format("byte 0x{:02x}, which is no UTF-8", static_cast<unsigned char>(text_[bad])),
           "JSON in UTF-8");
    }
    if (text_.starts_with(kMark)) at_ = kMark.size();
    Json root;
    value(root, "a JSON value");
    while (depth_ > 0) step();
    skip_space();
    if (at_ < text_.size()) fail(at_, got(), "nothing behind the value");
    return root;
  }

 private:
  /// A list or an object that is not complete.
  struct Open {
    Json* value = nullptr;
    bool is_object = false;
    std::vector<std::size_t> keys;  // where they stand
  };

  [[noreturn]] void fail(std::size_t at, const std::string& what, const std::string& want) const {
    const auto [line, column] = place(at);
    const std::string message =
        fmt::format("{}:{}:{}: got {}, want {}", source_.file, line, column, what, want);
    if (is_torn()) throw Torn(source_.malformed, message);
    throw Error(source_.malformed, message);
  }

  /// Whether more text could have been right: all that is there has been taken, or begins a word.
  bool is_torn() const {
    const std::string_view left = text_.substr(std::min(at_, text_.size()));
    return left.empty() || left == "\\" || (left.size() < 6 && left.starts_with("u")) ||
           kTrue.starts_with(left) || kFalse.starts_with(left) || kNull.starts_with(left);
  }

  std::pair<std::int64_t, std::int64_t> place(std::size_t at) const {
    std::string_view before = text_.substr(0, at);
    const std::int64_t line = source_.line + std::count(before.begin(), before.end(), '\n');
    before.remove_prefix(before.rfind('\n') + 1);
    if (line == source_.line && before.starts_with(kMark)) before.remove_prefix(kMark.size());
    const auto characters = std::count_if(before.begin(), before.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
    });
    return {line, 1 + characters};
  }

  /// What stands at at_, for a message.
  std::string got() const {
    if (at_ >= text_.size()) return text_.empty() ? "an empty text" : "the end of the text";
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    if (end == at_) end += utf8_sequence_at(text_, at_).bytes;
    const auto shown = utf8_prefix(text_.substr(at_, end - at_), kShownBytes);
    const auto first = static_cast<unsigned char>(shown.front());
    if (first < 0x20 || first == 0x7f) return fmt::format("a control character 0x{:02x}", first);
    return fmt::format("`{}`", shown);
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }

  /// The next element of the innermost list or object, or its end.
  void step() {
    Open& open = open_[depth_ - 1];
    const char close = open.is_object ? '}' : ']';
    skip_space();
    if (next_is(close)) return end(open);
    if (!open.value->empty()) {
      if (!next_is(',')) fail(at_, got(), fmt::format("`,` or `{}`", close));
      ++at_;
      skip_space();
    }
    if (!open.is_object) {
      auto& list = open.value->get_ref<Json::array_t&>();
      return value(list.emplace_back(), "a JSON value");
    }
    if (!next_is('"')) fail(at_, got(), "a key in double quotes");
    open.keys.push_back(at_);
    std::string key = string();
    skip_space();
    if (!next_is(':')) fail(at_, got(), "`:` behind the key");
    ++at_;
    // The vector under the map: its own insertion looks through all keys, which is done in end().
    Json::object_t::Container& pairs = open.value->get_ref<Json::object_t&>();
    pairs.emplace_back(std::move(key), nullptr);
    value(pairs.back().second, "a JSON value");
  }

  void end(Open& open) {
    ++at_;
    if (open.is_object) require_single_keys(open);
    --depth_;
  }

  void require_single_keys(const Open& open) const {
    const Json::object_t::Container& pairs = open.value->get_ref<Json::object_t&>();
    if (pairs.size() < 2) return;
    std::vector<std::size_t> order(pairs.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const int less = pairs[a].first.compare(pairs[b].first);
      return less < 0 || (less == 0 && a < b);
    });
    const auto twice = std::adjacent_find(
        order.begin(), order.end(),
        [&](std::size_t a, std::size_t b) { return pairs[a].first == pairs[b].first; });
    if (twice == order.end()) return;
    const auto [line, column] = place(open.keys[*twice]);
    fail(open.keys[*std::next(twice)],
         fmt::format("the key {} a second time (first at {}:{})", shown_json(pairs[*twice].first),
                     line, column),
         "each key of an object once");
  }

  void value(Json& out, const char* want) {
    skip_space();
    if (at_ >= text_.size()) fail(at_, got(), want);
    const char c = text_[at_];
    if (c == '{' || c == '[') return begin(out);
    if (c == '"') {
      out = string();
    } else if (c == '-' || is_digit(c)) {
      out = number();
    } else if (word(kTrue)) {
      out = true;
    } else if (word(kFalse)) {
      out = false;
    } else if (!word(kNull)) {
      fail(at_, got(), want);
    }
  }

  void begin(Json& out) {
    if (depth_ == kMostJsonDepth) {
      fail(at_, fmt::format("lists and objects nested more than {} deep", kMostJsonDepth),
           "at most that depth");
    }
    const bool is_object = text_[at_++] == '{';
    out = is_object ? Json::object() : Json::array();
    if (open_.size() == depth_) open_.emplace_back();
    Open& open = open_[depth_++];
    open.value = &out;
    open.is_object = is_object;
    open.keys.clear();
  }

  bool word(std::string_view whole) {
    if (!text_.substr(at_).starts_with(whole)) return false;
    if (at_ + whole.size() < text_.size() && is_word(text_[at_ + whole.size()])) return false;
    at_ += whole.size();
    return true;
  }

  Json number() {
    const std::size_t begin = at_;
    const auto digits = [&](const char* want) {
      if (at_ >= text_.size() || !is_digit(text_[at_])) fail(at_, got(), want);
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    };
    const bool negative = next_is('-');
    if (negative) ++at_;
    if (next_is('0')) {
      ++at_;
      if (at_ < text_.size() && is_digit(text_[at_])) {
        fail(begin, "a number that begins with 0", "one without");
      }
    } else {
      digits("a digit behind `-`");
    }
    bool whole = true;
    if (next_is('.')) {
      whole = false;
      ++at_;
      digits("a digit behind `.`");
    }
    if (next_is('e') || next_is('E')) {
      whole = false;
      ++at_;
      if (next_is('+') || next_is('-')) ++at_;
      digits("a digit of the exponent");
    }
    const std::string_view digits_text = text_.substr(begin, at_ - begin);
    if (whole && negative) return integer<std::int64_t>(begin, digits_text);
    if (whole) return integer<std::uint64_t>(begin, digits_text);
    return real(begin, digits_text);
  }

  template <class Integer>
  Json integer(std::size_t begin, std::string_view digits) const {
    Integer out = 0;
    const char* end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, out).ec == std::errc()) return out;
    return real(begin, digits);
  }

  Json real(std::size_t begin, std::string_view digits) const {
    double out = 0;
    const char* end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, out).ec == std::errc()) return out;
    out = std::strtod(std::string(digits).c_str(), nullptr);  // too small is 0, too large infinite
    if (!std::isfinite(out)) {
      fail(begin, fmt::format("the number {}", utf8_prefix(digits, kShownBytes)),
           "one whose size is at most 1.8e308");
    }
    return out;
  }

  std::string string() {
    const std::size_t begin = at_++;
    std::string out;
    while (true) {
      std::size_t end = at_;
      while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
             static_cast<unsigned char>(text_[end]) >= 0x20) {
        ++end;
      }
      out.append(text_, at_, end - at_);
      at_ = end;
      if (at_ == text_.size()) fail(begin, "a string without an end", "`\"` behind it");
      if (text_[at_] == '"') break;
      if (text_[at_] != '\\') fail(at_, got() + " in a string", "an escape such as \\n or \\u001b");
      escape(out);
    }
    ++at_;
    return out;
  }

  void escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    const std::size_t begin = at_++;
    if (next_is('u')) return append_utf8(code_point(begin), out);
    const std::size_t which =
        at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (which == std::string_view::npos) {
      fail(begin, "an unknown escape", R"(one of \" \\ \/ \b \f \n \r \t \uXXXX)");
    }
    out += kMeant[which];
    ++at_;
  }

  /// Of \uXXXX or a pair of them that begins at `begin`; at_ is at its u.
  unsigned code_point(std::size_t begin) {
    const unsigned first = four_digits(begin);
    if (first < 0xd800 || first > 0xdfff) return first;
    const bool pair = first < 0xdc00 && text_.substr(at_).starts_with("\\u");
    if (pair) {
      ++at_;
      const unsigned second = four_digits(at_ - 1);
      if (second >= 0xdc00 && second <= 0xdfff) {
        return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
      }
    }
    fail(begin, fmt::format("half of a surrogate pair, \\u{:04x}", first), "both halves");
  }

  unsigned four_digits(std::size_t begin) {
    unsigned out = 0;
    const std::string_view hex = text_.substr(at_ + 1, 4);
    const auto got = std::from_chars(hex.data(), hex.data() + hex.size(), out, 16);
    if (hex.size() < 4 || got.ptr != hex.data() + 4) {
      fail(begin, "an incomplete escape", "\\u and four hexadecimal digits");
    }
    at_ += 5;
    return out;
  }

  std::string_view text_;
  const JsonSource& source_;
  std::size_t at_ = 0;
  std::vector<Open> open_;  // the first depth_ are in use, the others keep their memory
  std::size_t depth_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const JsonSource& source) {
  return Reader(text, source).read();
}

std::optional<Json> parse_json_unless_torn(std::string_view text, const JsonSource& source) {
  try {
    return parse_json(text, source);
  } catch (const Torn&) {
    return std::nullopt;
  }
}

std::optional<Json> parse_json_if_whole(std::string_view text) {
  try {
    return parse_json(text, {"text"});
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace rw::core
