// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rw::data {

/// How many first bytes of a file refuse_no_text wants to see (fewer when the file is shorter).
inline constexpr std::size_t kHeadBytes = 1 << 14;

enum class JsonArrays {
  kAreText,         // nobody asks for documents
  kNotOfDocuments,  // one of objects or of strings is a list of documents
  kAreRefused       // the file's name says JSON
};

/// Throws Error{kDataMalformed} naming the format and a way when the first bytes of a file are those
/// of a container or an encoding that is no text: zstd, bzip2, xz, zip, parquet, HDF5 and others,
/// UTF-16, UTF-32, a JSON array.
void refuse_no_text(const std::string& path, std::string_view head, JsonArrays arrays);

/// The place of the first NUL byte, and words for it ("a NUL byte at byte 7, …").
std::optional<std::string> describe_nul(std::string_view text, std::size_t offset);

/// Whether the text begins with two lines that are one JSON object each. nullopt: more of it is
/// needed to say so.
std::optional<bool> begins_with_json_lines(std::string_view text, bool whole);

}  // namespace rw::data
