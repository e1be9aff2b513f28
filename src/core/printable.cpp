// Part of Ropewalk, MIT licence.
#include "core/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace rw::core {
namespace {

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// The code point of a character of 2 or 3 bytes: no longer one is a control.
unsigned short_code(std::string_view character) {
  const unsigned tail = byte_at(character, character.size() - 1) & 0x3FU;
  if (character.size() == 2) return (byte_at(character, 0) & 0x1FU) << 6U | tail;
  return (byte_at(character, 0) & 0x0FU) << 12U | (byte_at(character, 1) & 0x3FU) << 6U | tail;
}

bool is_wide_control(unsigned code) {
  return (code >= 0x80 && code < 0xA0) || code == 0x200E || code == 0x200F ||
         (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

std::string escaped(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = utf8_bytes(text, at);
    const std::string_view character = text.substr(at, std::max<std::size_t>(size, 1));
    const unsigned byte = byte_at(text, at);
    at += character.size();
    if (size == 0 || ((byte < 0x20 || byte == 0x7F) && kept.find(character) == kept.npos)) {
      out += character == "\n" ? "\\n" : character == "\t" ? "\\t" : fmt::format("\\x{:02x}", byte);
    } else if ((size == 2 || size == 3) && is_wide_control(short_code(character))) {
      out += fmt::format("\\u{:04x}", short_code(character));
    } else {
      out += character;
    }
  }
  return out;
}

}  // namespace

std::size_t utf8_bytes(std::string_view text, std::size_t at) {
  const unsigned lead = byte_at(text, at);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xC2 && lead < 0xE0   ? 2
                           : lead >= 0xE0 && lead < 0xF0 ? 3
                           : lead >= 0xF0 && lead < 0xF5 ? 4
                                                         : 0;
  if (size == 0 || at + size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte_at(text, at + i) & 0xC0U) != 0x80U) return 0;
  }
  const unsigned second = byte_at(text, at + 1);
  const bool too_long = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second >= 0xA0;
  const bool too_large = lead == 0xF4 && second >= 0x90;
  return too_long || surrogate || too_large ? 0 : size;
}

std::string printable(std::string_view text) { return escaped(text, "\n\t"); }
std::string printable_line(std::string_view text) { return escaped(text, ""); }

std::string shortened(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) return std::string(text);
  std::size_t end = most_bytes;
  while (end > 0 && (byte_at(text, end) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace rw::core
