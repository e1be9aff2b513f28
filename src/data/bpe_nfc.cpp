// Part of Ropewalk, MIT licence.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/error.h"
#include "core/handle.h"
#include "data/bpe_tokenizer.h"
#include "data/text_source_utf8.h"

namespace rw::data {
namespace {

constexpr std::size_t kPieceBytes = 1 << 16;

struct TextPolicy {
  using Native = utf8proc_uint8_t*;
  static Native none() { return nullptr; }
  static void close(Native text) noexcept {
    std::free(text);  // NOLINT(cppcoreguidelines-owning-memory): utf8proc allocates with malloc
  }
};

struct Range {
  char32_t first, last;
};

/// Code points that got their combining class after Unicode 9, which is what the `tokenizers`
/// package's NFC knows: there they stand still and let nothing pass. Found by comparing the two
/// over all code points (utf8proc 2.8: Unicode 15).
constexpr std::array<Range, 38> kStill{{
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943},
    {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99},
    {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42},
    {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
}};

bool stands_still(char32_t c) {
  const auto* const behind =
      std::upper_bound(kStill.begin(), kStill.end(), c,
                       [](char32_t value, const Range& range) { return value < range.first; });
  return behind != kStill.begin() && c <= (behind - 1)->last;
}

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

/// Appends the composition of `piece`.
void compose(std::string_view piece, std::string& result) {
  if (std::all_of(piece.begin(), piece.end(), is_ascii)) {
    result += piece;
    return;
  }
  utf8proc_uint8_t* composed = nullptr;
  const auto bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(piece.data()),
                   static_cast<utf8proc_ssize_t>(piece.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const core::Handle<TextPolicy> owner(composed);
  if (bytes < 0) {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("NFC: {}", utf8proc_errmsg(bytes)));
  }
  result.append(reinterpret_cast<const char*>(composed), static_cast<std::size_t>(bytes));
}

}  // namespace

std::string compose_nfc(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) {
      // No composition reaches across the front of an ASCII character: pieces may end there.
      if (at - begin >= kPieceBytes) {
        compose(text.substr(begin, at - begin), result);
        begin = at;
      }
      ++at;
      continue;
    }
    const CodePoint here = code_point_at(text, at);
    if (here.value >= kStill.front().first && stands_still(here.value)) {
      compose(text.substr(begin, at - begin), result);
      result += text.substr(at, here.bytes);
      begin = at + here.bytes;
    }
    at += here.bytes;
  }
  compose(text.substr(begin), result);
  return result;
}

}  // namespace rw::data
