// Part of Ropewalk, MIT licence.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "core/error.h"
#include "core/handle.h"
#include "data/bpe_tokenizer.h"

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

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

}  // namespace

std::string compose_nfc(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t begin = 0; begin < text.size();) {
    // No composition reaches across the front of an ASCII character: pieces may end there.
    std::size_t end = std::min(text.size(), begin + kPieceBytes);
    while (end < text.size() && !is_ascii(text[end])) ++end;
    const std::string_view piece = text.substr(begin, end - begin);
    begin = end;
    if (std::all_of(piece.begin(), piece.end(), is_ascii)) {
      result += piece;
      continue;
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
  return result;
}

}  // namespace rw::data
