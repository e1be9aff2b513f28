// Part of Ropewalk, MIT licence.
#include "data/text_source_utf8.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace rw::data {
namespace {

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// Bytes of the sequence at `at`, and how many of them are well-formed (Unicode 15, table 3-7).
struct Sequence {
  std::size_t bytes, good;
};

Sequence sequence_at(std::string_view text, std::size_t at) {
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

}  // namespace

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
    const Sequence sequence = sequence_at(text, at);
    if (sequence.good < sequence.bytes) return at;
    at += sequence.bytes;
  }
  return std::string_view::npos;
}

std::string replace_invalid_utf8(std::string_view text, std::int64_t& count) {
  std::string result;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t bad = std::min(find_invalid_utf8(text, at), text.size());
    result += text.substr(at, bad - at);
    if (bad == text.size()) break;
    result += "\xef\xbf\xbd";
    ++count;
    at = bad + std::max<std::size_t>(1, sequence_at(text, bad).good);
  }
  return result;
}

std::string replace_lone_surrogates(std::string json, std::int64_t& count) {
  constexpr std::size_t kEscape = 6;  // \uXXXX
  // The top six bits of \uXXXX at `at`: 0x36 begins a pair, 0x37 ends one; 0 when no such escape.
  const auto kind = [&json](std::size_t at) -> unsigned {
    if (at + kEscape > json.size() || json[at] != '\\' || json[at + 1] != 'u') return 0;
    unsigned code = 0;
    const char* end = json.data() + at + kEscape;
    const auto got = std::from_chars(json.data() + at + 2, end, code, 16);
    return got.ptr == end && code >> 11 == 0x1b ? code >> 10 : 0;
  };
  for (std::size_t at = json.find('\\'); at != std::string::npos; at = json.find('\\', at)) {
    const unsigned half = kind(at);
    if (half == 0) {
      at += 2;  // another escape: \n, \\, \u0041
    } else if (half == 0x36 && kind(at + kEscape) == 0x37) {
      at += 2 * kEscape;
    } else {
      json.replace(at, kEscape, "\\ufffd");
      ++count;
      at += kEscape;
    }
  }
  return json;
}

CodePoint code_point_at(std::string_view text, std::size_t at) {
  const unsigned lead = byte_at(text, at);
  const auto next = [&](std::size_t i) { return byte_at(text, at + i) & 0x3fU; };
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(lead & 0x1fU) << 6 | next(1), 2};
  if (lead < 0xf0) return {(lead & 0x0fU) << 12 | next(1) << 6 | next(2), 3};
  return {(lead & 0x07U) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4};
}

}  // namespace rw::data
