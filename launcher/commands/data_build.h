// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

struct DataBuildOptions {
  std::string tokenizer;  // "bytes", or a tokenizer.json
  std::string out;        // *.h5
  std::string jsonl_field = "text";
  std::string end_token;             // "": <|endoftext|>, or tokenizer_config.json's eos_token
  std::string invalid = "error";     // or "replace"
  std::string on_bad_line = "stop";  // or "skip"
  bool raw = false;                  // any bytes are meant
  double validation_share = 0;
  bool deduplicate = false;
  bool json = false;
  std::vector<std::string> files;  // and folders
};

/// Text or JSONL -> a corpus file; says what it holds.
int run_data_build(const DataBuildOptions& options);

}  // namespace rw::launcher
