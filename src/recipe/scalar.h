// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <variant>

#include "recipe/keys.h"

namespace rw::recipe {

/// A plain value as it stands in the file.
struct Scalar {
  std::string text;
  bool quoted = false;
};

/// What is wrong with a value: "got X, want Y; try Z" without the key. Stricter than YAML: `no` is
/// no bool, 010 no number, 1_000 neither.
struct Refusal {
  std::string message;
};

std::variant<bool, Refusal> parse_bool(const Scalar& scalar);
std::variant<std::int64_t, Refusal> parse_int(const Scalar& scalar, const Key& key);
std::variant<std::uint64_t, Refusal> parse_seed(const Scalar& scalar);
std::variant<double, Refusal> parse_real(const Scalar& scalar, const Key& key);
std::variant<std::string, Refusal> parse_text(const Scalar& scalar, const Key& key);

/// "a whole number from 1 to 100", "one of a, b", "true or false": what a key takes.
std::string wanted(const Key& key);

/// `text` as YAML that reads back as text: in quotes where a reader might take it for something else.
std::string quote_text(const std::string& text);
/// The shortest digits that read back to the same number.
std::string real_text(double value);

}  // namespace rw::recipe
