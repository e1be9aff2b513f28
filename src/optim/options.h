// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace rw::optim {

inline constexpr std::array<const char*, 1> kOptimizerNames{"adamw"};
inline constexpr std::array<const char*, 3> kScheduleNames{"constant", "linear", "cosine"};

struct Options {
  std::string name = "adamw";
  double lr = 3e-4;
  double beta1 = 0.9;  // optimizer.betas: [beta1, beta2]
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

struct ScheduleOptions {
  std::string name = "constant";  // a name in kScheduleNames
  std::int64_t warmup_steps = 0;  // lr(s) = lr · min(1, s / warmup_steps), s from 1
  double min_lr = 0;              // at max_steps, for linear and cosine
};

}  // namespace rw::optim
