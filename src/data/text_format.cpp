// Part of Ropewalk, MIT licence.
#include "data/text_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/json.h"

namespace rw::data {
namespace {

using namespace std::string_view_literals;

constexpr const char* kRaw = "`data build --raw` takes a file's bytes as they are";

struct Magic {
  std::string_view bytes;
  const char* name;
  const char* way;
};

/// First bytes that no text in UTF-8 begins with, or none that is one.
constexpr std::array kMagics{
    Magic{"\x28\xb5\x2f\xfd"sv, "zstd", "unpack it (`zstd -d`)"},
    Magic{"BZh"sv, "bzip2", "unpack it (`bunzip2`), or pack it with gzip"},
    Magic{"\xfd"
          "7zXZ\0"sv,
          "xz", "unpack it (`unxz`), or pack it with gzip"},
    Magic{"PK\x03\x04"sv, "zip", "unpack it (`unzip`)"},
    Magic{"PK\x05\x06"sv, "zip", "unpack it (`unzip`)"},
    Magic{"PK\x07\x08"sv, "zip", "unpack it (`unzip`)"},
    Magic{"PAR1"sv, "parquet", "write its text column as JSON lines"},
    Magic{"PARE"sv, "encrypted parquet", "write its text column as JSON lines"},
    Magic{"\x89HDF\r\n\x1a\n"sv, "HDF5", "a corpus is named in data.sources; write others as text"},
    Magic{"ARROW1\0"sv, "arrow", "write its text column as JSON lines"},
    Magic{"\x1f\x8b"sv, "gzip inside of gzip", "unpack it once (`gunzip`)"},
    Magic{"\x04\x22\x4d\x18"sv, "lz4", "unpack it (`lz4 -d`), or pack it with gzip"},
    Magic{"7z\xbc\xaf\x27\x1c"sv, "7z", "unpack it (`7z x`)"},
    Magic{"Rar!\x1a\x07"sv, "rar", "unpack it"},
    Magic{"%PDF-"sv, "PDF", "take its text out (`pdftotext`)"},
    Magic{"\x93NUMPY"sv, "a NumPy array", "write it as text"},
    Magic{"SQLite format 3\0"sv, "an SQLite database", "write its texts as JSON lines"},
    Magic{"Obj\x01"sv, "avro", "write its text field as JSON lines"},
    Magic{"\xff\xfe\0\0"sv, "UTF-32", "write it as UTF-8 (`iconv -f UTF-32 -t UTF-8`)"},
    Magic{"\0\0\xfe\xff"sv, "UTF-32", "write it as UTF-8 (`iconv -f UTF-32 -t UTF-8`)"},
    Magic{"\xff\xfe"sv, "UTF-16", "write it as UTF-8 (`iconv -f UTF-16 -t UTF-8`)"},
    Magic{"\xfe\xff"sv, "UTF-16", "write it as UTF-8 (`iconv -f UTF-16 -t UTF-8`)"}};

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kUtf8Mark = "\xef\xbb\xbf";

[[noreturn]] void refuse(const std::string& path, const std::string& name, const char* way) {
  throw core::Error(core::ErrorKind::kDataMalformed,
                    fmt::format("{}: its first bytes are those of {}, want text in UTF-8; {} ({})",
                                path, name, way, kRaw));
}

/// bzip2 goes on with a level and the digits of pi (or of its square root when it is empty).
bool is_bzip2(std::string_view head) {
  if (head.size() < 4 || head[3] < '1' || head[3] > '9') return false;
  const std::string_view digits = head.substr(4, 6);
  return "\x31\x41\x59\x26\x53\x59"sv.substr(0, digits.size()) == digits ||
         "\x17\x72\x45\x38\x50\x90"sv.substr(0, digits.size()) == digits;
}

/// zstd's other frames: "P*M\x18" to "_*M\x18".
bool is_skippable_zstd(std::string_view head) {
  return head.size() >= 4 && head[0] >= 0x50 && head[0] <= 0x5f && head.substr(1, 3) == "*M\x18"sv;
}

std::string_view without_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlank), text.size()));
}

/// `[` and an object, or strings with commas between them; any array where all are refused.
bool is_json_array(std::string_view head, JsonArrays arrays) {
  if (arrays == JsonArrays::kAreText) return false;
  if (head.rfind(kUtf8Mark, 0) == 0) head.remove_prefix(kUtf8Mark.size());
  head = without_blanks(head);
  if (head.empty() || head[0] != '[') return false;
  if (arrays == JsonArrays::kAreRefused) return true;
  head = without_blanks(head.substr(1));
  if (head.empty()) return false;
  if (head[0] == '{') {
    head = without_blanks(head.substr(1));
    return !head.empty() && (head[0] == '"' || head[0] == '}');
  }
  if (head[0] != '"') return false;
  std::size_t at = 1;
  while (at < head.size() && head[at] != '"' && head[at] != '\n') at += head[at] == '\\' ? 2 : 1;
  if (at >= head.size() || head[at] != '"') return false;
  head = without_blanks(head.substr(at + 1));
  if (head.empty() || (head[0] != ',' && head[0] != ']')) return false;
  if (head[0] == ']') return true;
  head = without_blanks(head.substr(1));
  return !head.empty() && head[0] == '"';
}

/// NUL bytes by their place modulo `width`: text of that many bytes a character has them in all
/// places but one.
std::string wide_encoding(std::string_view text) {
  constexpr std::size_t kEnough = 4;
  for (const std::size_t width : {std::size_t{4}, std::size_t{2}}) {
    std::array<std::size_t, 4> zeros{};
    const std::size_t units = text.size() / width;
    if (units < 2) continue;
    for (std::size_t i = 0; i < units * width; ++i) zeros.at(i % width) += text[i] == '\0' ? 1 : 0;
    const auto full = [&](std::size_t place) { return zeros.at(place) * kEnough >= units * 3; };
    const auto bare = [&](std::size_t place) { return zeros.at(place) * kEnough <= units; };
    if (width == 4 && full(3) && full(2) && bare(0)) return "UTF-32LE";
    if (width == 4 && full(0) && full(1) && bare(3)) return "UTF-32BE";
    if (width == 2 && full(1) && bare(0)) return "UTF-16LE";
    if (width == 2 && full(0) && bare(1)) return "UTF-16BE";
  }
  return "";
}

}  // namespace

void refuse_no_text(const std::string& path, std::string_view head, JsonArrays arrays) {
  for (const Magic& magic : kMagics) {
    if (head.substr(0, magic.bytes.size()) != magic.bytes) continue;
    if (magic.bytes == "BZh"sv && !is_bzip2(head)) continue;
    refuse(path, magic.name, magic.way);
  }
  if (is_skippable_zstd(head)) refuse(path, "zstd", "unpack it (`zstd -d`)");
  if (head.find('\0') != std::string_view::npos) {
    const std::string wide = wide_encoding(head);
    if (!wide.empty()) {
      refuse(path, wide + " without a byte-order mark", "write it as UTF-8 (`iconv -t UTF-8 -f`)");
    }
  }
  constexpr std::size_t kManyZeros = 512;
  if (head.size() >= kManyZeros && head.find_first_not_of('\0') == std::string_view::npos) {
    refuse(path, "nothing: NUL bytes alone", "is the file whole?");
  }
  if (is_json_array(head, arrays)) {
    refuse(path, "a JSON array", "write a JSON object per line (`jq -c '.[]'`) in a .jsonl file");
  }
}

std::optional<std::string> describe_nul(std::string_view text, std::size_t offset) {
  const std::size_t at = text.find('\0');
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view around = text.substr(at - std::min<std::size_t>(at, 64), 256);
  const std::string wide = wide_encoding(around);
  return fmt::format("a NUL byte at byte {}, which text does not hold{}", offset + at,
                     wide.empty() ? "" : "; it looks like " + wide);
}

std::optional<bool> begins_with_json_lines(std::string_view text, bool whole) {
  if (text.rfind(kUtf8Mark, 0) == 0) text.remove_prefix(kUtf8Mark.size());
  for (int objects = 0; objects < 2; ++objects) {
    text = without_blanks(text);
    if (!text.empty() && text[0] != '{') return false;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos && !whole) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    if (!core::Json::accept(line)) return false;
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return true;
}

}  // namespace rw::data
