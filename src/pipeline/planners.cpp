// Part of Ropewalk, MIT licence.
#include "pipeline/planners.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "pipeline/classic.h"
#include "pipeline/emulation.h"
#include "pipeline/json_file.h"
#include "pipeline/walk_chooser.h"

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

void require_few_swaps(const Plan& plan, std::int64_t max_swaps) {
  for (int m = 0; m < plan.micro_batches(); ++m) {
    const int swaps = swaps_of(plan.paths[static_cast<std::size_t>(m)]);
    if (swaps <= max_swaps) continue;
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.max_swaps: the path of micro-batch {} steps back {} times, "
                            "want at most {}; try {}, or solve the problem with max_swaps {}",
                            m, swaps, max_swaps, swaps, max_swaps));
  }
}

/// A skip_fraction beside a solution must be the one of its paths, those of full iterations apart.
void require_same_length(const PlanCycle& cycle, const Options& options, std::int64_t stages) {
  if (options.skip_fraction == 0) return;
  const auto wanted = kept_stages(stages, options.skip_fraction);
  std::set<std::int64_t> lengths;
  for (std::size_t turn = 0; turn < cycle.turns(); ++turn) {
    for (const auto& path : cycle.plans[turn].paths) {
      lengths.insert(static_cast<std::int64_t>(path.size()) - 1);  // the last visit is the head's
    }
  }
  for (const std::int64_t kept : lengths) {
    if (kept == wanted) continue;
    throw Error(
        ErrorKind::kRecipe,
        fmt::format("pipeline.skip_fraction: got {} with the paths of {}, which visit {} of "
                    "{} stages; want {:.4g}, or none beside pipeline.solution",
                    options.skip_fraction, options.solution, kept, stages,
                    1 - static_cast<double>(kept) / static_cast<double>(stages)));
  }
}

/// A planner's answer, read from files.
PlanCycle plans_from_files(const Options& options, int ranks, std::int64_t micro_batches) {
  const WalkCosts costs = read_problem_costs(options, ranks);
  const core::Json solution = read_json("pipeline.solution", options.solution);
  const std::int64_t every = solution.contains("full") ? read_full_every(options) : 0;
  PlanCycle out = plans_from_solution(solution, costs, every, options.solution);
  for (const Plan& plan : out.plans) {
    if (plan.micro_batches() != micro_batches) {
      throw Error(ErrorKind::kRecipe,
                  fmt::format("pipeline.solution: got {} micro-batches; want {} "
                              "(train.global_batch_size / train.micro_batch_size)",
                              plan.micro_batches(), micro_batches));
    }
    require_few_swaps(plan, options.max_swaps);
  }
  require_same_length(out, options, out.plans.front().stages - 1);
  return out;
}

/// Skipping in turn.
PlanCycle plans_in_turn(const Problem& problem, const Options& options) {
  const auto kept = kept_stages(problem.pp, options.skip_fraction);
  if (!kept) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.skip_fraction: got {} of {} stages; want a whole number of "
                            "stages left out, at least two kept",
                            options.skip_fraction, problem.pp));
  }
  const std::int64_t each = std::max<std::int64_t>(1, *kept - 1);
  const std::int64_t least = (problem.pp - 1 + each - 1) / each;
  if (options.rotation > 0 && options.rotation < least) {
    throw Error(
        ErrorKind::kRecipe,
        fmt::format("pipeline.rotation: got {}; want at least {}: a path visits {} of the {} "
                    "stages behind the first",
                    options.rotation, least, *kept - 1, problem.pp - 1));
  }
  PlanCycle out;
  for (int turn = 0; turn < std::max<std::int64_t>(1, options.rotation); ++turn) {
    out.plans.push_back(plan_skipping(problem, static_cast<int>(*kept), turn));
  }
  if (options.full_every > 0) out.plans.push_back(plan_skipping(problem, problem.pp));
  out.full_every = options.full_every;
  return out;
}

PlanCycle plans_that_skip(const Problem& problem, const Options& options) {
  PlanCycle out = options.solution.empty()
                      ? plans_in_turn(problem, options)
                      : plans_from_files(options, problem.ranks(), problem.micro_batches);
  if (out.plans.size() > 1 && options.replan_share > 0) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.replan_share: got {} with {} plans that take turns; want 0: "
                            "these are not planned anew",
                            options.replan_share, out.plans.size()));
  }
  return out;
}

}  // namespace

Plan plan_skipping(const Problem& problem, int path_length, int turn) {
  constexpr double kForward = 1;
  constexpr double kLoss = 0.25;
  const auto nodes = static_cast<std::size_t>(problem.ranks());
  WalkCosts costs;
  costs.forward_s.assign(nodes, kForward);
  costs.loss_factor = kLoss;
  costs.transfer_s.assign(nodes, std::vector<double>(nodes, 0));
  costs.memory.assign(nodes, path_length);
  const Walks walks =
      schedule_walks(spread_stages(problem), choose_paths(problem, path_length, turn), costs);
  for (int& memory : costs.memory) ++memory;
  Plan plan = plan_from_walks("skippipe", walks, costs);
  plan.predicted.clear();
  return plan;
}

PlanCycle plans_from_solution(const core::Json& solution, const WalkCosts& costs,
                              std::int64_t full_every, const std::string& where) {
  PlanCycle out;
  auto turns = turns_from_solution(solution, where);
  int head_from = lowest_end(turns.front());
  for (const Walks& walks : turns) head_from = std::min(head_from, lowest_end(walks));
  for (Walks& walks : turns) {
    walks.head_from = head_from;
    out.plans.push_back(plan_from_walks("skippipe", walks, costs));
  }
  if (solution.contains("full")) out.full_every = full_every;
  return out;
}

void require_countable(const ParallelOptions& parallel, std::int64_t micro_batches) {
  constexpr std::int64_t kMostRanks = std::int64_t{1} << 16;
  constexpr std::int64_t kMostMicroBatches = std::numeric_limits<int>::max();
  if (parallel.dp < 1 || parallel.pp < 1 || parallel.dp > kMostRanks / parallel.pp) {
    throw Error(ErrorKind::kRecipe, fmt::format("parallel: got dp {} and pp {}, want at least 1 of "
                                                "each and at most {} ranks",
                                                parallel.dp, parallel.pp, kMostRanks));
  }
  if (micro_batches > kMostMicroBatches) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("train.global_batch_size: got {} micro-batches a step, want at most "
                            "{}; try a larger train.micro_batch_size",
                            micro_batches, kMostMicroBatches));
  }
}

PlanCycle plans_for(const ParallelOptions& parallel, const Options& options,
                    std::int64_t micro_batches) {
  require_countable(parallel, micro_batches);
  Problem problem;
  problem.dp = static_cast<int>(parallel.dp);
  problem.pp = static_cast<int>(parallel.pp);
  problem.chunks = options.schedule == "interleaved" ? static_cast<int>(options.chunks) : 1;
  problem.micro_batches = static_cast<int>(micro_batches);
  if (options.emulate) read_problem_costs(options, problem.ranks());  // refused before training
  if (options.schedule != "skippipe") return make_plan(options.schedule, problem);
  return plans_that_skip(problem, options);
}

Plan plan_for(const ParallelOptions& parallel, const Options& options, std::int64_t micro_batches) {
  return plans_for(parallel, options, micro_batches).plans.front();
}

}  // namespace rw::pipeline
