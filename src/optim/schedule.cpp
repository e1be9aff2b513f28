// Part of Ropewalk, MIT licence.
#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace rw::optim {

double learning_rate(const Options& options, const ScheduleOptions& schedule, std::int64_t step,
                     std::int64_t max_steps) {
  if (step < 1) {
    throw core::Error(core::ErrorKind::kRecipe,
                      "learning_rate: got step " + std::to_string(step) + ", want >= 1");
  }
  const std::int64_t warmup = std::max<std::int64_t>(0, schedule.warmup_steps);
  if (step <= warmup) {
    return options.lr * (static_cast<double>(step) / static_cast<double>(warmup));
  }
  if (schedule.name == "constant") return options.lr;
  const auto span = static_cast<double>(std::max<std::int64_t>(1, max_steps - warmup));
  const double p = std::clamp(static_cast<double>(step - warmup) / span, 0.0, 1.0);
  if (schedule.name == "linear") return options.lr + (schedule.min_lr - options.lr) * p;
  if (schedule.name == "cosine") {
    return schedule.min_lr +
           (options.lr - schedule.min_lr) * 0.5 * (1.0 + std::cos(std::numbers::pi * p));
  }
  throw core::Error(core::ErrorKind::kRecipe, "lr_scheduler.name: got " + schedule.name +
                                                  ", want one of constant, linear, cosine");
}

}  // namespace rw::optim
