// Part of Ropewalk, MIT licence.
#include "data/text_source_utf8.h"

#include <algorithm>
#include <charconv>

namespace rw::data {
namespace {

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

}  // namespace

std::size_t cut_between_characters(std::string_view text, std::size_t most) {
  if (most >= text.size()) return text.size();
  constexpr std::size_t kLongest = 4;
  for (std::size_t back = 1; back < kLongest && back <= most; ++back) {
    const std::size_t at = most - back;
    const unsigned lead = byte_at(text, at);
    if (lead >= 0x80 && lead < 0xc0) continue;  // inside of a character
    return core::utf8_sequence_at(text, at).good > back ? at : most;
  }
  return most;
}

std::string replace_invalid_utf8(std::string_view text, std::int64_t& count) {
  std::string result;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t bad = std::min(core::find_invalid_utf8(text, at), text.size());
    result += text.substr(at, bad - at);
    if (bad == text.size()) break;
    result += "\xef\xbf\xbd";
    ++count;
    at = bad + std::max<std::size_t>(1, core::utf8_sequence_at(text, bad).good);
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
