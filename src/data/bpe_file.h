// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/added_tokens.h"

namespace rw::data {

/// A byte-level BPE as a tokenizer.json says it.
struct BpeFile {
  std::unordered_map<std::string, std::int32_t> vocabulary;  // as written, byte-level characters
  std::vector<std::pair<std::string, std::string>> merges;   // best first
  std::vector<std::string> patterns;                         // Ruby syntax, one after the other
  std::vector<AddedToken> added;                             // ids as the file says them
  bool nfc = false;
  bool ignore_merges = false;
  bool operator==(const BpeFile&) const = default;
};

/// Reads a tokenizer.json. The post-processor is not looked at: it adds ids around a text, which a
/// corpus does not have. Whatever else would change ids is refused by name: Error{kDataMalformed},
/// beginning with `where`.
BpeFile read_bpe_file(const std::string& json, const std::string& where);

}  // namespace rw::data
