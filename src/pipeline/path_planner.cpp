// Part of Ropewalk, MIT licence.
#include "pipeline/path_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "metrics/timer.h"
#include "pipeline/walk_chooser.h"
#include "planner/planner.h"
#include "planner/solution.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

std::vector<std::vector<int>> arrangement_of(const Plan& plan) {
  std::vector<std::vector<int>> out(at(plan.stages - 1));
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    out[at(plan.stages_of_rank[at(rank)].front())].push_back(rank);
  }
  return out;
}

planner::List<int> list_of(const std::vector<int>& values) {
  return {values.begin(), values.end()};
}

/// The nodes of a path without the way back to the head.
std::vector<int> nodes_of(const std::vector<Visit>& path) {
  std::vector<int> out;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) out.push_back(path[i].rank);
  return out;
}

/// Micro-batches as the planner counts them: source by source.
std::vector<int> by_source(const Plan& plan) {
  std::vector<int> out(at(plan.micro_batches()));
  std::iota(out.begin(), out.end(), 0);
  std::stable_sort(out.begin(), out.end(), [&](int a, int b) {
    return plan.paths[at(a)].front().rank < plan.paths[at(b)].front().rank;
  });
  return out;
}

planner::PathRules rules_of(const Plan& plan) {
  planner::PathRules out;
  std::vector<int> visits(at(plan.stages), 0);
  for (const auto& path : plan.paths) {
    int highest = 0;
    int swaps = 0;
    for (std::size_t i = 1; i + 1 < path.size(); ++i) {
      const int stage = path[i].stage;
      ++visits[at(stage)];
      out.max_jump = std::max(out.max_jump, std::abs(stage - highest));
      swaps += stage < highest ? 1 : 0;
      highest = std::max(highest, stage);
    }
    out.max_swaps = std::max(out.max_swaps, swaps);
  }
  out.stage_quota = *std::max_element(visits.begin(), visits.end());
  return out;
}

}  // namespace

planner::Problem problem_of(const Plan& current, const WalkCosts& measured) {
  if (!current.head_alone) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("plan {}: its paths are fixed; want a plan of paths (skippipe)",
                            current.schedule));
  }
  const int sources = static_cast<int>(arrangement_of(current).front().size());
  if (current.micro_batches() % sources != 0) {
    throw Error(
        ErrorKind::kRecipe,
        fmt::format("plan {}: got {} micro-batches of {} sources, want equally many of each",
                    current.schedule, current.micro_batches(), sources));
  }
  planner::Problem out;
  out.name = current.schedule;
  for (std::size_t node = 0; node < measured.forward_s.size(); ++node) {
    out.nodes.push_back(
        {fmt::format("rank {}", node), measured.forward_s[node], measured.memory[node]});
  }
  const int size = current.ranks();
  out.transfer_s = planner::Matrix(size);
  for (int i = 0; i < size; ++i) {
    for (int j = 0; j < size; ++j) out.transfer_s.at(i, j) = measured.transfer_s[at(i)][at(j)];
  }
  out.backward_factor = measured.backward_factor;
  out.loss_factor = measured.loss_factor;
  for (const auto& group : arrangement_of(current)) {
    out.arrangement.push_back(list_of(group));
    out.stage_sizes.push_back(static_cast<int>(group.size()));
  }
  out.path_length = static_cast<int>(current.paths.front().size()) - 1;
  for (const auto& path : current.paths) {
    if (static_cast<int>(path.size()) == out.path_length + 1) continue;
    throw Error(ErrorKind::kRecipe, fmt::format("plan {}: its paths differ in length, want one "
                                                "length",
                                                current.schedule));
  }
  out.micro_batches_per_source = current.micro_batches() / sources;
  out.rules = rules_of(current);
  return out;
}

Plan replan_paths(const Plan& current, const WalkCosts& measured, double seconds) {
  const planner::Problem problem = problem_of(current, measured);
  const std::vector<int> order = by_source(current);
  Paths paths;
  for (const int m : order) paths.push_back(nodes_of(current.paths[at(m)]));
  const Walks former = schedule_walks(arrangement_of(current), paths, measured);
  planner::Solution start;
  start.arrangement = problem.arrangement;
  for (const Walk& walk : former.micro_batches)
    start.micro_batches.push_back({list_of(walk.nodes), {walk.starts.begin(), walk.starts.end()}});
  planner::PlanOptions how;
  const std::int64_t begin = metrics::now_ns();
  how.limits.time_s = seconds;
  how.limits.elapsed_s = [begin] { return static_cast<double>(metrics::now_ns() - begin) * 1e-9; };
  const planner::Solution found = planner::replan(problem, start, how);
  Walks walks;
  walks.arrangement = former.arrangement;
  walks.micro_batches.resize(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) {
    walks.micro_batches[at(order[k])] = {found.micro_batches[k].path,
                                         found.micro_batches[k].starts};
  }
  return plan_from_walks(current.schedule, walks, measured);
}

}  // namespace rw::pipeline
