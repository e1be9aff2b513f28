// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/bpe_export.h"
#include "data/split_pattern.h"

namespace rw::data {

/// Learns a byte-level BPE: the 256 bytes, <|endoftext|> (id 256), then one entry per merge. Each
/// merge is the pair of neighbours that occurs most often in the words so far; of equal ones the
/// smallest pair of ids. Deterministic, whatever the order of the texts.
class TokenizerTrainer {
 public:
  TokenizerTrainer();
  /// Cuts valid UTF-8 into words with GPT-2's pattern and counts them.
  void add(std::string_view text);
  /// As add(), of a text of which more follows; returns how much of it is taken: what is left comes
  /// again with what follows.
  std::size_t add_front(std::string_view text);
  /// At most `vocab_size` entries; fewer when no pair is left. Throws Error{kUsage} below 257 and
  /// above 2^24, Error{kDataMissing} without a word.
  BpeExport train(std::int64_t vocab_size) const;

 private:
  SplitPattern pattern_;
  std::unordered_map<std::string, std::int64_t> words_;
};

}  // namespace rw::data
