// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "pipeline/pace.h"
#include "pipeline/plan.h"
#include "pipeline/replanner.h"
#include "pipeline/step_numbers.h"

namespace rw::pipeline {

/// Holds a plan's predictions against what every step took, and brings in a new plan when they part.
/// Rank 0 plans, in the background; the flag that a plan is ready travels with the numbers of a step,
/// so that all ranks take it over between the same two steps.
class PlanWatch {
 public:
  /// `replan_share` > 0: ask `replan` once the measured time of some rank is so far from its predicted
  /// one (pace.h); 0, or an empty `replan`: only predict.
  PlanWatch(double replan_share, Replan replan);
  /// Whether this rank has a new plan to offer; goes into exchange().
  bool offers() const { return replanner_ != nullptr && replanner_->ready(); }
  /// The numbers of a step on `plan`; the same on every rank. Where the plan has no predicted times yet
  /// and three steps have been measured, fills them: the plan at the measured pace. Returns the plan to
  /// go on with, if it is another one. Collective.
  std::optional<Plan> after_step(std::int64_t step, Plan& plan, const StepNumbers& numbers,
                                 comm::Communicator& world);
  /// What happened in the last after_step(), for the log of rank 0; empty: nothing.
  const std::string& note() const { return note_; }

 private:
  void ask(std::int64_t step, const Plan& plan);
  std::optional<Plan> take_over(std::int64_t step, const Plan& plan, comm::Communicator& world);

  double replan_share_;
  std::unique_ptr<Replanner> replanner_;
  Pace pace_;
  int next_ask_ = 0;  // steps of pace_
  int pause_;         // steps between two questions; doubled after a vain one
  std::string note_;
};

}  // namespace rw::pipeline
