// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

#include "store/corpus_file.h"

namespace rw::store {

/// What `attributes_sha256` of a corpus holds: SHA-256 over "name length value\n" for every other
/// attribute and for the numbers of tokens and documents, in the order of docs/formats/corpus.md.
std::string attributes_digest(const CorpusInfo& info);

inline constexpr std::int64_t kSchemaVersion = 1;
inline constexpr const char* kEndian = "little";

}  // namespace rw::store
