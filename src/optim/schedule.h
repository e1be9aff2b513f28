// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "optim/options.h"

namespace rw::optim {

/// The learning rate of `step` (from 1). Warm-up: lr · step / warmup_steps up to and with step
/// warmup_steps. Then, with p = (step − warmup_steps) / (max_steps − warmup_steps) held to [0, 1]:
/// constant lr; linear lr + (min_lr − lr) · p; cosine min_lr + (lr − min_lr) · (1 + cos(π p)) / 2.
/// Throws Error{kRecipe} on another name or step < 1.
double learning_rate(const Options& options, const ScheduleOptions& schedule, std::int64_t step,
                     std::int64_t max_steps);

}  // namespace rw::optim
