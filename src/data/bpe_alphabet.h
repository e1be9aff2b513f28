// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace rw::data {

/// The printable character that stands for each byte in a byte-level vocabulary, in UTF-8: bytes
/// that are printable in Latin-1 stand for themselves, the other 68 are U+0100 and upwards.
std::array<std::string, 256> byte_characters();

/// The bytes behind a vocabulary entry; nullopt when a character of it stands for no byte.
class ByteAlphabet {
 public:
  ByteAlphabet();
  std::optional<std::string> to_bytes(std::string_view token) const;
  std::string to_token(std::string_view bytes) const;

 private:
  std::array<std::string, 256> characters_;
  std::array<int, 0x200> byte_of_{};  // by code point; -1: none
};

}  // namespace rw::data
