// Part of Ropewalk, MIT licence.
#include "data/text_normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "core/error.h"
#include "data/text_source_utf8.h"

namespace rw::data {
namespace {

constexpr std::size_t kPieceBytes = 1 << 16;
constexpr utf8proc_int32_t kFirstMark = 0x300;  // below it no code point has a combining class
constexpr std::size_t kMostParts = 32;          // of one code point; Unicode has at most 18

struct Range {
  char32_t first, last;
};

/// Code points that got their combining class or their decomposition after Unicode 9, which is what
/// the `tokenizers` package normalises by: there they stand still and let nothing pass. Found by
/// comparing the two over all code points (utf8proc 2.8: Unicode 15).
constexpr std::array<Range, 47> kStill{{
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
    {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x10785}, {0x10787, 0x107b0},
    {0x107b2, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff},
    {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b},
    {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11935, 0x11935}, {0x11938, 0x11938},
    {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
    {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
    {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e030, 0x1e06d},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9},
}};

bool stands_still(char32_t c) {
  const auto* const behind =
      std::upper_bound(kStill.begin(), kStill.end(), c,
                       [](char32_t value, const Range& range) { return value < range.first; });
  return behind != kStill.begin() && c <= (behind - 1)->last;
}

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

bool composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }

utf8proc_option_t decomposition(NormalForm form) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

[[noreturn]] void fail(utf8proc_ssize_t error) {
  throw core::Error(core::ErrorKind::kDataMalformed,
                    fmt::format("Unicode normalisation: {}", utf8proc_errmsg(error)));
}

int combining_class(utf8proc_int32_t c) {
  return c < kFirstMark ? 0 : utf8proc_get_property(c)->combining_class;
}

/// Sorts each run of marks by combining class; utf8proc's own way is quadratic in a run.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  for (auto at = points.begin(); at != points.end();) {
    const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) > 0; };
    const auto begin = std::find_if(at, points.end(), is_mark);
    at = std::find_if_not(begin, points.end(), is_mark);
    if (at - begin < 2) continue;
    std::stable_sort(begin, at, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
  }
}

/// Appends the form of `piece`.
void append(std::string_view piece, NormalForm form, std::string& result) {
  if (std::all_of(piece.begin(), piece.end(), is_ascii)) {
    result += piece;
    return;
  }
  std::vector<utf8proc_int32_t> points;
  points.reserve(piece.size());
  std::array<utf8proc_int32_t, kMostParts> parts{};
  const auto options = decomposition(form);
  for (std::size_t at = 0; at < piece.size();) {
    const CodePoint here = code_point_at(piece, at);
    at += here.bytes;
    if (here.value < 0x80) {
      points.push_back(static_cast<utf8proc_int32_t>(here.value));
      continue;
    }
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(here.value),
                                               parts.data(), kMostParts, options, nullptr);
    if (count < 0) fail(count);
    points.insert(points.end(), parts.begin(), parts.begin() + count);
  }
  order_marks(points);
  if (composes(form)) {
    const auto left = utf8proc_normalize_utf32(
        points.data(), static_cast<utf8proc_ssize_t>(points.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (left < 0) fail(left);
    points.resize(static_cast<std::size_t>(left));
  }
  for (const auto c : points) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto length = utf8proc_encode_char(c, bytes.data());
    result.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
}

}  // namespace

std::string normalized(std::string_view text, NormalForm form) {
  std::string result;
  result.reserve(text.size());
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) {
      // No composition reaches across the front of an ASCII character: pieces may end there.
      if (at - begin >= kPieceBytes) {
        append(text.substr(begin, at - begin), form, result);
        begin = at;
      }
      ++at;
      continue;
    }
    const CodePoint here = code_point_at(text, at);
    if (here.value >= kStill.front().first && stands_still(here.value)) {
      append(text.substr(begin, at - begin), form, result);
      result += text.substr(at, here.bytes);
      begin = at + here.bytes;
    }
    at += here.bytes;
  }
  append(text.substr(begin), form, result);
  return result;
}

}  // namespace rw::data
