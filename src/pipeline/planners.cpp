// Part of Ropewalk, MIT licence.
#include "pipeline/planners.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "pipeline/classic.h"
#include "pipeline/emulation.h"
#include "pipeline/json_file.h"
#include "pipeline/walk_chooser.h"
#include "pipeline/walks.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;

/// Steps of a path to a stage below the highest so far (papers/skippipe.md §2, CC2).
int swaps_of(const std::vector<Visit>& path) {
  int highest = -1;
  int out = 0;
  for (const Visit& visit : path) {
    if (visit.stage < highest) ++out;
    highest = std::max(highest, visit.stage);
  }
  return out;
}

/// A planner's answer, read from files.
Plan plan_from_files(const Options& options, int ranks, std::int64_t micro_batches) {
  const WalkCosts costs = read_problem_costs(options, ranks);
  const Walks walks =
      walks_from_solution(read_json("pipeline.solution", options.solution), options.solution);
  if (static_cast<std::int64_t>(walks.micro_batches.size()) != micro_batches) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.solution: got {} micro-batches; want {} "
                            "(train.global_batch_size / train.micro_batch_size)",
                            walks.micro_batches.size(), micro_batches));
  }
  Plan plan = plan_from_walks("skippipe", walks, costs);
  for (int m = 0; m < plan.micro_batches(); ++m) {
    const int swaps = swaps_of(plan.paths[static_cast<std::size_t>(m)]);
    if (swaps <= options.max_swaps) continue;
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.max_swaps: the path of micro-batch {} steps back {} times, "
                            "want at most {}; try {}, or solve the problem with max_swaps {}",
                            m, swaps, options.max_swaps, swaps, options.max_swaps));
  }
  return plan;
}

}  // namespace

Plan plan_skipping(const Problem& problem, int path_length) {
  constexpr double kForward = 1;
  constexpr double kLoss = 0.25;
  const auto nodes = static_cast<std::size_t>(problem.ranks());
  WalkCosts costs;
  costs.forward_s.assign(nodes, kForward);
  costs.loss_factor = kLoss;
  costs.transfer_s.assign(nodes, std::vector<double>(nodes, 0));
  costs.memory.assign(nodes, path_length);
  const Walks walks =
      schedule_walks(spread_stages(problem), choose_paths(problem, path_length), costs);
  for (int& memory : costs.memory) ++memory;
  Plan plan = plan_from_walks("skippipe", walks, costs);
  plan.predicted.clear();
  return plan;
}

Plan plan_for(const ParallelOptions& parallel, const Options& options, std::int64_t micro_batches) {
  Problem problem;
  problem.dp = static_cast<int>(parallel.dp);
  problem.pp = static_cast<int>(parallel.pp);
  problem.chunks = options.schedule == "interleaved" ? static_cast<int>(options.chunks) : 1;
  problem.micro_batches = static_cast<int>(micro_batches);
  if (options.emulate) read_problem_costs(options, problem.ranks());  // refused before training
  if (options.schedule != "skippipe") return make_plan(options.schedule, problem);
  if (!options.solution.empty()) return plan_from_files(options, problem.ranks(), micro_batches);
  const auto kept = kept_stages(parallel.pp, options.skip_fraction);
  if (!kept) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.skip_fraction: got {} of {} stages; want a whole number of "
                            "stages left out, at least two kept",
                            options.skip_fraction, parallel.pp));
  }
  return plan_skipping(problem, static_cast<int>(*kept));
}

}  // namespace rw::pipeline
