// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "pipeline/plan.h"

namespace rw::pipeline {

/// Why `plan` must not be run; "" when it is sound. Sound means: every path goes from stage 0 to the
/// last stage over ranks that hold its stages, none twice; every micro-batch is forwarded and passed
/// back (input and weight) exactly once per stage of its path, each in order; every message has its
/// sender and its receiver; gradients are reduced once per stage after all other work, and the
/// update is last; no rank keeps more than live_bound pairs (micro-batch, stage); in-order execution
/// comes to its end with the plan's channels; and predicted times, where there are any, are one per
/// operation. Pure; about operations · log.
std::string plan_problem(const Plan& plan);
/// Throws Error{kRecipe} "plan SCHEDULE: …" unless the plan is sound.
void require_sound(const Plan& plan);

/// Each part by itself; the later ones take the earlier for granted.
std::string placement_problem(const Plan& plan);
std::string order_problem(const Plan& plan);    // complete, in order, within live_bound
std::string message_problem(const Plan& plan);  // every send has its receive
std::string prediction_problem(const Plan& plan);
/// Names the circle of waiting ranks and the operation each stands at.
std::string deadlock_problem(const Plan& plan);

/// Most pairs (micro-batch, stage) that a rank keeps at once.
int peak_live(const Plan& plan, int rank);

}  // namespace rw::pipeline
