// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace rw::data {

/// A byte-level BPE as it is written down: id i is tokens[i] (raw bytes, special ones as text).
struct BpeExport {
  std::vector<std::string> tokens;
  std::vector<std::pair<int, int>> merges;  // ids, best first
  int end_of_text = 256;
  bool split_words = true;  // GPT-2's pattern in the ByteLevel pre-tokenizer; false: no splitting
};

/// The tokenizer.json that the Hugging Face `tokenizers` package reads. Same input, same bytes.
std::string export_bpe(const BpeExport& bpe);

}  // namespace rw::data
