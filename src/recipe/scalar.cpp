// Part of Ropewalk, MIT licence.
#include "recipe/scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/printable.h"

namespace rw::recipe {
namespace {

struct Suffix {
  const char* text;
  double factor;
};
constexpr std::array kCounts{Suffix{"k", 1e3}, Suffix{"K", 1e3}, Suffix{"M", 1e6},
                             Suffix{"B", 1e9}, Suffix{"G", 1e9}, Suffix{"T", 1e12}};
constexpr std::array kTimes{Suffix{"s", 1},    Suffix{"sec", 1},  Suffix{"m", 60},
                            Suffix{"min", 60}, Suffix{"h", 3600}, Suffix{"d", 86400}};

bool is_one_of(const std::string& text, std::initializer_list<const char*> words) {
  std::string low = text;
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return low == word; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The number at the front of `text` by the rules of the recipe; `rest` is what follows it.
/// nullopt: there is none, or it is written oddly.
std::optional<double> front_number(const std::string& text, bool whole, std::string& rest) {
  std::size_t at = text.empty() || (text[0] != '-' && text[0] != '+') ? 0 : 1;
  const std::size_t first = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  if (at == first) return std::nullopt;
  if (text[first] == '0' && at - first > 1) return std::nullopt;
  if (!whole && at < text.size() && text[at] == '.') {
    const std::size_t dot = at++;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == dot + 1) return std::nullopt;
  }
  if (!whole && at + 1 < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    std::size_t digits = at + 1;
    if (text[digits] == '-' || text[digits] == '+') ++digits;
    const std::size_t begin = digits;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits > begin) at = digits;
  }
  rest = text.substr(at);
  const std::size_t skip = text[0] == '+' ? 1 : 0;
  double out = 0;
  const auto [end, code] = std::from_chars(text.data() + skip, text.data() + at, out);
  if (code != std::errc() || end != text.data() + at) return std::nullopt;
  return out;
}

/// What a suffix multiplies by; nullopt: it is no unit of this key.
std::optional<double> unit_factor(const std::string& suffix, Unit unit) {
  std::string left = suffix;
  if (left.empty()) return 1;
  if (left.size() > 1 && left[0] == ' ') left = left.substr(1);
  if (unit == Unit::kSeconds) {
    for (const Suffix& one : kTimes) {
      if (left == one.text) return one.factor;
    }
    return std::nullopt;
  }
  if (unit == Unit::kNone) return std::nullopt;
  double factor = 1;
  for (const Suffix& one : kCounts) {
    if (left.rfind(one.text, 0) == 0) {
      factor = one.factor;
      left = left.substr(1);
      break;
    }
  }
  if (!left.empty() && left[0] == ' ') left = left.substr(1);
  const char* words = unit == Unit::kSteps ? "step" : "token";
  if (left.empty() || left == words || left == std::string(words) + "s") return factor;
  return std::nullopt;
}

std::string unit_examples(Unit unit) {
  switch (unit) {
    case Unit::kSteps:
      return ", such as 500, 500steps or 2k";
    case Unit::kTokens:
      return ", such as 1000000, 10M or 1Btokens";
    case Unit::kSeconds:
      return " of seconds, such as 90, 90s or 30min";
    case Unit::kNone:
      break;
  }
  return "";
}

std::string range_text(const Key& key) {
  const bool least = std::isfinite(key.least);
  const bool most = std::isfinite(key.most) && key.most < 1e18;
  if (least && most) {
    return key.above ? fmt::format(" above {:g}, up to {:.12g}", key.least, key.most)
                     : fmt::format(" from {:g} to {:.12g}", key.least, key.most);
  }
  return least ? fmt::format(" from {:g}", key.least) : "";
}

Refusal refuse(const Scalar& scalar, const Key& key, const std::string& hint = "") {
  const std::string text = core::shortened(scalar.text);
  const std::string got = text.empty() && !scalar.quoted ? "nothing"
                          : scalar.quoted                ? fmt::format("the text \"{}\"", text)
                                                         : fmt::format("'{}'", text);
  return {fmt::format("got {}, want {}{}", got, wanted(key), hint)};
}

bool in_range(double value, const Key& key) {
  return value <= key.most && (key.above ? value > key.least : value >= key.least);
}

std::string number_hint(const Scalar& scalar) {
  if (scalar.quoted) return "; try it without quotes";
  const std::string& text = scalar.text;
  if (text.find('_') != std::string::npos || text.find(',') != std::string::npos) {
    return "; try plain digits";
  }
  if (text.size() > 1 && text[0] == '0' && is_digit(text[1])) {
    return "; try it without the leading zero (YAML may read it as octal)";
  }
  if (const auto dot = text.find('.');
      dot != std::string::npos && text.find_first_not_of("+-.0123456789") == std::string::npos &&
      (dot + 1 == text.size() || dot == 0 || !is_digit(text[dot - 1]))) {
    return "; try it with a digit on either side of the point";
  }
  return "";
}

}  // namespace

std::string wanted(const Key& key) {
  if (!key.choices.empty()) return fmt::format("one of {}", fmt::join(key.choices, ", "));
  if (std::holds_alternative<Slot<bool>>(key.slot)) return "true or false";
  if (std::holds_alternative<Slot<std::string>>(key.slot)) return "text";
  if (std::holds_alternative<Slot<double>>(key.slot)) {
    return "a number" + unit_examples(key.unit) + range_text(key);
  }
  if (std::holds_alternative<RealsSlot>(key.slot)) return "numbers" + range_text(key);
  if (std::holds_alternative<Slot<std::vector<data::Source>>>(key.slot)) {
    return "a list such as [{path: corpora/first_run.h5}]";
  }
  return "a whole number" + unit_examples(key.unit) + range_text(key);
}

std::variant<bool, Refusal> parse_bool(const Scalar& scalar) {
  if (!scalar.quoted && scalar.text == "true") return true;
  if (!scalar.quoted && scalar.text == "false") return false;
  std::string hint;
  if (scalar.quoted) {
    hint = "; try it without quotes";
  } else if (is_one_of(scalar.text, {"true", "yes", "on", "y", "1"})) {
    hint = "; try true";
  } else if (is_one_of(scalar.text, {"false", "no", "off", "n", "0"})) {
    hint = "; try false";
  }
  return Refusal{fmt::format("got '{}', want true or false{}", core::shortened(scalar.text), hint)};
}

std::variant<std::int64_t, Refusal> parse_int(const Scalar& scalar, const Key& key) {
  if (scalar.quoted) return refuse(scalar, key, number_hint(scalar));
  std::string rest;
  // 1.5k is a whole number too: a fraction is read, and refused when a fraction is left.
  const bool fraction = key.unit == Unit::kSteps || key.unit == Unit::kTokens;
  const auto number = front_number(scalar.text, !fraction, rest);
  if (!number) return refuse(scalar, key, number_hint(scalar));
  const auto factor = unit_factor(rest, key.unit);
  if (!factor) {
    const bool word = key.unit != Unit::kNone && !rest.empty() && rest[0] != '.';
    return refuse(scalar, key,
                  word ? fmt::format("; '{}' is no unit here", rest) : number_hint(scalar));
  }
  const double value = *number * *factor;
  if (value != std::floor(value) || !in_range(value, key)) return refuse(scalar, key);
  return static_cast<std::int64_t>(value);
}

std::variant<std::uint64_t, Refusal> parse_seed(const Scalar& scalar) {
  std::uint64_t out = 0;
  const char* begin = scalar.text.data();
  const char* end = begin + scalar.text.size();
  const auto [at, code] = std::from_chars(begin, end, out);
  const bool odd = scalar.text.size() > 1 && scalar.text[0] == '0';
  if (!scalar.quoted && code == std::errc() && at == end && !odd) return out;
  return Refusal{fmt::format("got '{}', want a whole number from 0 to 2^64 - 1{}",
                             core::shortened(scalar.text), number_hint(scalar))};
}

std::variant<double, Refusal> parse_real(const Scalar& scalar, const Key& key) {
  if (scalar.quoted) return refuse(scalar, key, number_hint(scalar));
  std::string rest;
  const auto number = front_number(scalar.text, false, rest);
  if (!number) return refuse(scalar, key, number_hint(scalar));
  const auto factor = unit_factor(rest, key.unit);
  if (!factor) {
    const bool unit = key.unit != Unit::kNone;
    return refuse(scalar, key,
                  unit ? fmt::format("; '{}' is no unit here", rest) : number_hint(scalar));
  }
  const double value = *number * *factor;
  if (!std::isfinite(value) || !in_range(value, key)) return refuse(scalar, key);
  return value;
}

std::variant<std::string, Refusal> parse_text(const Scalar& scalar, const Key& key) {
  const auto has = [&](const std::vector<std::string>& all) {
    return std::find(all.begin(), all.end(), scalar.text) != all.end();
  };
  if (scalar.quoted && scalar.text.empty()) return refuse(scalar, key);
  if (has(key.later))
    return Refusal{
        fmt::format("got '{}', which is not in this version; want {}", scalar.text, wanted(key))};
  if (!key.choices.empty()) {
    if (has(key.choices)) return scalar.text;
    return refuse(scalar, key);
  }
  if (scalar.quoted) return scalar.text;
  if (is_one_of(scalar.text, {"", "~", "null", "yes", "no", "on", "off", "true", "false"})) {
    return refuse(scalar, key, scalar.text.empty() ? "" : "; try it in quotes");
  }
  return scalar.text;
}

std::string quote_text(const std::string& text) {
  const auto plain = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '/' || c == '.' || c == '-';
  };
  const bool odd = is_one_of(text, {"~", "null", "yes", "no", "on", "off", "true", "false"});
  const bool starts = !text.empty() && text[0] != '-' && text[0] != '.' && !is_digit(text[0]);
  if (!odd && starts && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return '"' + core::printable_line(out) + '"';
}

std::string real_text(double value) { return fmt::format("{}", value); }

}  // namespace rw::recipe
