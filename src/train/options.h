// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

namespace rw::train {

struct Options {
  std::int64_t seq_len = 0;
  std::int64_t micro_batch_size = 1;
  std::int64_t global_batch_size = 1;  // rows
  std::int64_t max_steps = 0;
  std::int64_t max_tokens = 0;     // 0: no limit; max_steps then follows from it when absent
  double clip_grad_norm = 1.0;     // 0: off
  std::string recompute = "none";  // a name in model::kRecomputeNames
  std::int64_t recompute_full_layers = 0;
};

struct LogOptions {
  std::int64_t interval = 1;  // steps
  bool tensorboard = true;
  bool trace = true;
  std::int64_t timeline_interval = 50;  // steps; 0: never
};

struct WatchdogOptions {
  double init_s = 120;
  double step_s = 300;
};

}  // namespace rw::train
