// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rw::launcher {

struct DataTrainTokenizerOptions {
  std::vector<std::string> files;  // and folders
  std::string out;                 // a tokenizer.json
  bool raw = false;                // any UTF-8 is meant
  std::int64_t vocab_size = 0;     // entries, bytes and <|endoftext|> included
};

/// Learns a byte-level BPE from text and writes it, whole or not at all.
int run_data_train_tokenizer(const DataTrainTokenizerOptions& options);

}  // namespace rw::launcher
