// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/problem.h"

namespace rw::pipeline {

/// rank = replica · pp + position; stage s sits on position s % pp; micro-batch m goes to replica
/// m % dp.
int rank_of(const Problem& problem, int micro_batch, int stage);
/// stages_of_rank of a plan for `problem`.
std::vector<std::vector<int>> place_stages(const Problem& problem);
/// The straight paths: every stage in order, all on one replica.
std::vector<std::vector<Visit>> straight_paths(const Problem& problem);

/// Layers [first, second) of each stage: `split` (layers per stage) or, when that is empty, even,
/// earlier stages taking the rest. Throws Error{kRecipe} "pipeline.stage_split: …" when it does not
/// have one positive entry per stage adding up to `layers`, or when there are fewer layers than
/// stages.
std::vector<std::pair<std::int64_t, std::int64_t>> stage_layers(
    std::int64_t layers, int stages, const std::vector<std::int64_t>& split);

}  // namespace rw::pipeline
