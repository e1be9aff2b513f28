// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/utf8.h"

namespace rw::data {

using core::find_invalid_utf8;

/// Each maximal part of an ill-formed sequence becomes one U+FFFD, as Unicode recommends and
/// Python's errors="replace" does. `count` is raised by the number of replacements.
std::string replace_invalid_utf8(std::string_view text, std::int64_t& count);

/// JSON escapes that are half of a surrogate pair (\ud83d without its \udc00 to \udfff, or the other
/// way round) become \ufffd: no JSON parser takes them. `count` is raised by their number.
std::string replace_lone_surrogates(std::string json, std::int64_t& count);

/// The largest place up to `most` that does not lie inside of a character; `most` when what lies
/// there is no UTF-8.
std::size_t cut_between_characters(std::string_view text, std::size_t most);

/// The code point at text[at] of valid UTF-8, and its length in bytes.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
};
CodePoint code_point_at(std::string_view text, std::size_t at);

}  // namespace rw::data
