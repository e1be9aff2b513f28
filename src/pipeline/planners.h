// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "pipeline/options.h"
#include "pipeline/plan.h"
#include "pipeline/problem.h"

namespace rw::pipeline {

/// Paths in turn (walk_chooser.h) as a plan. A node may keep one micro-batch more than the plan uses:
/// the executor spends it when something is late. Without predicted times: no cost is known here.
Plan plan_skipping(const Problem& problem, int path_length);

/// The plan that a recipe's `parallel` and `pipeline` sections ask for. Reads the files that they
/// name. Throws Error{kRecipe} on numbers that make no plan, Error{kDataMalformed, kDataMissing} on
/// files.
Plan plan_for(const ParallelOptions& parallel, const Options& options, std::int64_t micro_batches);

}  // namespace rw::pipeline
