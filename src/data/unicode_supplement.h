// Part of Ropewalk, MIT licence.
#pragma once
#include <span>
#include <string_view>

namespace rw::data {

/// Code points that Unicode 15 and 16 added, with their general category. The `tokenizers` package
/// knows them; PCRE2 10.42 and utf8proc 2.8 do not.
struct AddedRange {
  char32_t first, last;
  const char* category;
};
std::span<const AddedRange> added_ranges();  // ascending

/// Its category; "" for a code point that is not in added_ranges().
std::string_view added_category(char32_t c);

}  // namespace rw::data
