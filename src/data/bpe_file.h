// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/added_tokens.h"
#include "data/pre_tokenizer.h"
#include "data/text_normalizer.h"

namespace rw::data {

/// A byte-level BPE as a tokenizer.json says it.
struct BpeFile {
  std::unordered_map<std::string, std::int32_t> vocabulary;  // as written, byte-level characters
  std::vector<std::pair<std::string, std::string>> merges;   // best first
  std::vector<NormalForm> normal_forms;                      // one after the other
  std::vector<PreTokenizerStep> steps;                       // one after the other
  std::vector<AddedToken> added;                             // ids as the file says them
  std::optional<std::int32_t> unknown;  // for bytes that the vocabulary lacks; without, they go
  bool fuse_unknown = false;            // neighbouring unknown bytes are one
  bool ignore_merges = false;
  bool operator==(const BpeFile&) const = default;
};

/// Reads a tokenizer.json. The post-processor is not applied: it adds ids around a text, which a
/// corpus does not have. Whatever else would change ids is refused by name, and so is what the
/// `tokenizers` package does not read either: Error{kDataMalformed}, beginning with `where`.
BpeFile read_bpe_file(const std::string& json, const std::string& where);

}  // namespace rw::data
