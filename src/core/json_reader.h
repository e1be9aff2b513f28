// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace rw::core {

/// Where a JSON text comes from, for messages.
struct JsonSource {
  std::string file;       // a path, or what else the user would look for
  std::int64_t line = 1;  // of the text's first byte in it: its number for one of JSON lines
  ErrorKind malformed = ErrorKind::kDataMalformed;
};

/// Lists and objects within each other: no walk over a value that was read goes deeper.
inline constexpr int kMostJsonDepth = 128;

/// The one reader of all JSON that the program takes in: RFC 8259, UTF-8, with or without a byte
/// order mark. Numbers: std::uint64_t, std::int64_t or, with a fraction, an exponent or out of their
/// range, double. Throws Error{source.malformed} "FILE:LINE:COL: got …, want …" (columns are
/// characters, from 1) for a text that is no JSON, that goes on behind its value, nests deeper than
/// kMostJsonDepth, repeats a key in one object (both places are named), has a number that no double
/// holds or half of a surrogate pair. Linear in the text, whatever it holds (n log n in the keys of
/// one object); no recursion.
Json parse_json(std::string_view text, const JsonSource& source);

/// The same; nullopt for a text that is only the beginning of one, as a killed job leaves it at the
/// end of a file.
std::optional<Json> parse_json_unless_torn(std::string_view text, const JsonSource& source);

/// The same; nullopt for whatever parse_json refuses.
std::optional<Json> parse_json_if_whole(std::string_view text);

}  // namespace rw::core
