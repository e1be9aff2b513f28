// Part of Ropewalk, MIT licence.
#include "pipeline/path_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "metrics/timer.h"
#include "pipeline/plan_check.h"
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

/// Whether a micro-batch's loss is on the last node that it visits.
bool loss_at_last(const Plan& plan) {
  return std::any_of(plan.paths.begin(), plan.paths.end(), [](const std::vector<Visit>& path) {
    return path.back().rank != path.front().rank;
  });
}

/// The lowest stage whose ranks hold the head.
int head_from(const Plan& plan) {
  int out = plan.stages - 1;
  for (const auto& held : plan.stages_of_rank) {
    if (held.back() + 1 == plan.stages) out = std::min(out, held.front());
  }
  return out;
}

planner::List<int> list_of(const std::vector<int>& values) {
  return {values.begin(), values.end()};
}

/// plan_from_walks turned round: the path and the predicted starts of a micro-batch.
std::vector<Walk> walks_of(const Plan& plan) {
  std::vector<Walk> out(at(plan.micro_batches()));
  for (std::size_t m = 0; m < out.size(); ++m) {
    const auto& path = plan.paths[m];
    for (std::size_t i = 0; i + 1 < path.size(); ++i) out[m].nodes.push_back(path[i].rank);
    out[m].starts.assign(2 * out[m].nodes.size() + 1, 0);
  }
  for (std::size_t rank = 0; rank < plan.operations.size(); ++rank) {
    for (std::size_t i = 0; i < plan.operations[rank].size(); ++i) {
      const Operation& op = plan.operations[rank][i];
      const bool forward = op.kind == OpKind::kForward;
      const bool backward = op.kind == OpKind::kBackward && op.stage + 1 < plan.stages;
      if (!forward && !backward) continue;
      Walk& walk = out[at(op.micro_batch)];
      const int station = position_in(plan.paths[at(op.micro_batch)], op.stage);
      const std::size_t operation = forward ? at(station) : 2 * walk.nodes.size() - at(station);
      walk.starts[operation] = plan.predicted[rank][i].begin;
    }
  }
  return out;
}

/// Of `memory`, what a new plan may fill: a slot that the plan in use leaves free stays free, for ranks
/// leave the planned order with it (docs/adr/0011-leaving-the-planned-order.md).
int fillable(const Plan& current, int rank, int memory) {
  const bool spare = peak_live(current, rank) < current.live_bound[at(rank)];
  return spare ? std::max(1, memory - 1) : memory;
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
  for (const auto& operations : current.operations) {
    for (const Operation& op : operations) {
      if (op.kind != OpKind::kBackwardWeight) continue;
      throw Error(
          ErrorKind::kRecipe,
          fmt::format("plan {}: its weight gradients have turns of their own, and only whole "
                      "backwards are planned anew",
                      current.schedule));
    }
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
  const int size = current.ranks();
  for (int rank = 0; rank < size; ++rank) {
    out.nodes.push_back({fmt::format("rank {}", rank), measured.forward_s[at(rank)],
                         fillable(current, rank, measured.memory[at(rank)])});
  }
  out.transfer_s = planner::Matrix(size);
  for (int i = 0; i < size; ++i) {
    for (int j = 0; j < size; ++j) out.transfer_s.at(i, j) = measured.transfer_s[at(i)][at(j)];
  }
  out.backward_factor = measured.backward_factor;
  out.loss_factor = measured.loss_factor;
  if (loss_at_last(current)) out.loss_at = planner::LossAt::kLast;
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
  if (current.predicted.empty()) {
    throw Error(ErrorKind::kBug, "replan_paths: got a plan without predicted times");
  }
  const std::vector<int> order = by_source(current);
  const std::vector<Walk> former = walks_of(current);
  planner::Solution start;
  start.arrangement = problem.arrangement;
  for (const int m : order) {
    const Walk& walk = former[at(m)];
    start.micro_batches.push_back({list_of(walk.nodes), {walk.starts.begin(), walk.starts.end()}});
  }
  planner::PlanOptions how;
  const std::int64_t begin = metrics::now_ns();
  how.limits.time_s = seconds;
  how.limits.elapsed_s = [begin] { return static_cast<double>(metrics::now_ns() - begin) * 1e-9; };
  const planner::Solution found = planner::replan(problem, start, how);
  Walks walks;
  walks.arrangement = arrangement_of(current);
  walks.head_from = head_from(current);
  walks.micro_batches.resize(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) {
    walks.micro_batches[at(order[k])] = {found.micro_batches[k].path,
                                         found.micro_batches[k].starts};
  }
  WalkCosts costs = measured;
  costs.loss_at_last = problem.loss_at == planner::LossAt::kLast;
  return plan_from_walks(current.schedule, walks, costs);
}

Replan make_replan(std::vector<std::vector<double>> transfer_s, double seconds) {
  return [transfer_s = std::move(transfer_s), seconds](const Plan& current, WalkCosts measured) {
    if (!transfer_s.empty()) measured.transfer_s = transfer_s;
    return replan_paths(current, measured, seconds);
  };
}

}  // namespace rw::pipeline
