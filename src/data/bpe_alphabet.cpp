// Part of Ropewalk, MIT licence.
#include "data/bpe_alphabet.h"

namespace rw::data {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

std::array<unsigned, 256> code_points() {
  std::array<unsigned, 256> result{};
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    result[byte] = stands_for_itself(byte) ? byte : next++;
  }
  return result;
}

}  // namespace

std::array<std::string, 256> byte_characters() {
  std::array<std::string, 256> result;
  const auto points = code_points();
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const unsigned point = points[byte];
    if (point < 0x80) {
      result[byte] = static_cast<char>(point);
    } else {
      result[byte] = static_cast<char>(0xc0U | point >> 6);
      result[byte] += static_cast<char>(0x80U | (point & 0x3fU));
    }
  }
  return result;
}

ByteAlphabet::ByteAlphabet() : characters_(byte_characters()) {
  byte_of_.fill(-1);
  const auto points = code_points();
  for (std::size_t byte = 0; byte < 256; ++byte) byte_of_[points[byte]] = static_cast<int>(byte);
}

std::optional<std::string> ByteAlphabet::to_bytes(std::string_view token) const {
  std::string bytes;
  for (std::size_t i = 0; i < token.size(); ++i) {
    unsigned point = static_cast<unsigned char>(token[i]);
    if (point >= 0x80) {
      if (point < 0xc2 || point > 0xc7 || i + 1 >= token.size()) return std::nullopt;
      point = (point & 0x1fU) << 6 | (static_cast<unsigned char>(token[++i]) & 0x3fU);
    }
    if (byte_of_[point] < 0) return std::nullopt;
    bytes += static_cast<char>(byte_of_[point]);
  }
  return bytes;
}

std::string ByteAlphabet::to_token(std::string_view bytes) const {
  std::string token;
  for (const char byte : bytes) token += characters_[static_cast<unsigned char>(byte)];
  return token;
}

}  // namespace rw::data
