// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

namespace rw::launcher {

struct EvalOptions {
  std::string model;      // Hugging Face folder, or a checkpoint of ours
  std::string text;       // a file of text, or
  std::string token_ids;  // a file of decimal ids
  std::int64_t seq_len = 256;
  std::string precision = "f32";
  std::int64_t stages = 0;   // 0: as many as layers
  std::string keep_stages;   // "0,2,3" or "random:K[:SEED]"; empty: all
  std::string strip_prefix;  // taken off the names of the tensors
  bool json = false;
};

/// Loss in nats per predicted token, perplexity, bits per byte (with text).
int run_eval(const EvalOptions& options);

}  // namespace rw::launcher
