// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <string_view>

namespace rw::core {

/// Bytes of the sequence that begins at text[at] by its first byte, and how many of them are
/// well-formed: good < bytes where it is not.
struct Utf8Sequence {
  std::size_t bytes, good;
};
Utf8Sequence utf8_sequence_at(std::string_view text, std::size_t at);

/// Offset of the first byte that is not part of well-formed UTF-8 (no surrogates, nothing
/// overlong, nothing above U+10FFFF) at or after `from`; npos when all is well.
std::size_t find_invalid_utf8(std::string_view text, std::size_t from = 0);

/// At most the first `most` bytes of valid UTF-8, cut between characters.
std::string_view utf8_prefix(std::string_view text, std::size_t most);

}  // namespace rw::core
