// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

#include "pipeline/options.h"
#include "pipeline/plan.h"
#include "pipeline/plan_cycle.h"
#include "pipeline/problem.h"
#include "pipeline/walks.h"

namespace rw::pipeline {

/// Paths in turn (walk_chooser.h) as a plan. A node may keep one micro-batch more than the plan uses:
/// the executor spends it when something is late. Without predicted times: no cost is known here.
Plan plan_skipping(const Problem& problem, int path_length, int turn = 0);

/// All plans of a planner's solution (formats/solution.md). `full_every`: of its problem, for a solution
/// that has a plan for full iterations. Throws as turns_from_solution and plan_from_walks.
PlanCycle plans_from_solution(const core::Json& solution, const WalkCosts& costs,
                              std::int64_t full_every, const std::string& where);

/// Throws Error{kRecipe} unless there are at least one and at most 65536 ranks, and no more than 2^31 - 1
/// micro-batches.
void require_countable(const ParallelOptions& parallel, std::int64_t micro_batches);

/// The plans that a recipe's `parallel` and `pipeline` sections ask for. Reads the files that they
/// name. Throws Error{kRecipe} on numbers that make no plan, Error{kDataMalformed, kDataMissing} on
/// files.
PlanCycle plans_for(const ParallelOptions& parallel, const Options& options,
                    std::int64_t micro_batches);
/// Of these the first.
Plan plan_for(const ParallelOptions& parallel, const Options& options, std::int64_t micro_batches);

}  // namespace rw::pipeline
