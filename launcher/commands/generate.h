// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

namespace rw::launcher {

struct GenerateOptions {
  std::string model;        // Hugging Face folder, or a checkpoint of ours
  std::string prompt;       // text, or
  std::string prompt_ids;   // "1 2 3"
  bool has_prompt = false;  // --prompt was given (it may be empty)
  std::int64_t max_new_tokens = 64;
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  std::uint64_t seed = 0;
  bool ignore_eos = false;
  std::string precision = "f32";
  bool json = false;
};

/// Text from a prompt; prints {"token_ids", "text"} with --json, else the text.
int run_generate(const GenerateOptions& options);

}  // namespace rw::launcher
