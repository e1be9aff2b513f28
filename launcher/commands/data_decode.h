// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

struct DataDecodeOptions {
  std::string tokenizer;  // "bytes", or a tokenizer.json
  std::string ids_file;   // decimal ids with white space between them, or a JSON list
};

/// Token ids -> the text's bytes, nothing added.
int run_data_decode(const DataDecodeOptions& options);

}  // namespace rw::launcher
