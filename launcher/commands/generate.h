// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rw::launcher {

/// The prompts come from one of the three.
struct GenerateOptions {
  std::string model;                    // Hugging Face folder, or a checkpoint of ours
  std::vector<std::string> prompts;     // texts, or
  std::vector<std::string> prompt_ids;  // "1 2 3" each, or
  std::string prompts_file;      // JSON lines, each {"prompt": text} or {"prompt_ids": [1, 2]}
  std::int64_t batch_size = 16;  // prompts decoded at once; changes no number
  std::int64_t samples = 1;      // of each prompt
  std::int64_t max_new_tokens = 64;
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  std::uint64_t seed = 0;
  bool ignore_eos = false;
  std::string precision = "f32";  // of the weights
  std::string strip_prefix;       // taken off the names of the tensors
  bool json = false;
};

/// Text from prompts; prints {"token_ids", "text"} with --json, else the texts: one line per sample,
/// the samples of a prompt one after the other, prompts in the order given. A prompt of ids has ids
/// alone as its answer, and `text` null: without texts no tokenizer file is opened.
int run_generate(const GenerateOptions& options);

}  // namespace rw::launcher
