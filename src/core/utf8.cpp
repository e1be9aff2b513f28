// Part of Ropewalk, MIT licence.
#include "core/utf8.h"

#include <cstdint>
#include <cstring>

namespace rw::core {
namespace {

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

}  // namespace

Utf8Sequence utf8_sequence_at(std::string_view text, std::size_t at) {
  // Unicode 15, table 3-7.
  const unsigned lead = byte_at(text, at);
  if (lead < 0x80) return {1, 1};
  if (lead < 0xc2 || lead > 0xf4) return {1, 0};
  const std::size_t bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned low = 0x80, high = 0xbf;  // of the second byte
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  std::size_t good = 1;
  for (; good < bytes && at + good < text.size(); ++good) {
    const unsigned next = byte_at(text, at + good);
    if (next < low || next > high) break;
    low = 0x80;
    high = 0xbf;
  }
  return {bytes, good};
}

std::size_t find_invalid_utf8(std::string_view text, std::size_t from) {
  std::size_t at = from;
  while (at < text.size()) {
    std::uint64_t eight = 0;
    if (at + 8 <= text.size()) {
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080ULL) == 0) {
        at += 8;
        continue;
      }
    }
    const Utf8Sequence sequence = utf8_sequence_at(text, at);
    if (sequence.good < sequence.bytes) return at;
    at += sequence.bytes;
  }
  return std::string_view::npos;
}

std::string_view utf8_prefix(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (byte_at(text, most) & 0xc0U) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace rw::core
