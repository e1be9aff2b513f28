// Part of Ropewalk, MIT licence.
#pragma once
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/replanner.h"
#include "pipeline/walks.h"
#include "planner/problem.h"

namespace rw::pipeline {

/// How long a new plan in the background of a training may be searched for.
inline constexpr double kReplanSeconds = 2;

/// The problem that a plan of paths in use solves, with other times: the same arrangement, paths of the
/// same length, no stage visited more often than now, no jump or step back that no path has now, no
/// slot filled that ranks have left free. Throws Error{kRecipe} for a plan that is none of paths, whose
/// paths differ in length, or whose backwards are split.
planner::Problem problem_of(const Plan& current, const WalkCosts& measured);

/// For Replanner (`current` has predicted times): paths and order anew for what was measured, by the
/// planner (planner/planner.h) warm from the paths and the order in use; ranks keep their stages,
/// micro-batches their sources. Takes `seconds`.
Plan replan_paths(const Plan& current, const WalkCosts& measured, double seconds = kReplanSeconds);

/// replan_paths with the transfer times [from][to] of the network, which nobody measures while training;
/// empty: those of `measured`.
Replan make_replan(std::vector<std::vector<double>> transfer_s, double seconds = kReplanSeconds);

}  // namespace rw::pipeline
