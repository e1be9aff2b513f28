// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

struct DataEncodeOptions {
  std::string tokenizer;  // "bytes", or a tokenizer.json
  std::string file;       // text
  bool raw = false;       // any bytes are meant
  bool json = false;
};

/// Text -> token ids: a JSON list, or decimal numbers with spaces between them.
int run_data_encode(const DataEncodeOptions& options);

}  // namespace rw::launcher
