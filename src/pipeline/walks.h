// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "pipeline/plan.h"
#include "planner/problem.h"

namespace rw::pipeline {

/// The way of one micro-batch (papers/skippipe.md §1.4). nodes: L of them, the source first, no two
/// of one group. starts: 2L + 1, in seconds: forward on nodes 0 … L − 1, the loss on nodes[0] or, as
/// WalkCosts says, nodes[L − 1], backward on nodes L − 1 … 0. weight_starts: L, or none where the backward is whole; else `starts`
/// holds the input gradients alone, and these are the weight gradients on nodes 0 … L − 1.
struct Walk {
  std::vector<int> nodes;
  std::vector<double> starts;
  std::vector<double> weight_starts = {};
};

/// Of the loss, the share that the head's forward takes: logits and input gradient, two of the three
/// products; the third is the weight's gradient. (Where the backward follows at once, forward adds that
/// too: the two spans then share their sum otherwise.)
inline constexpr double kLossForward = 2.0 / 3;

/// What a planner of paths finds. A node is a rank.
struct Walks {
  std::vector<std::vector<int>> arrangement;  // nodes of each stage; group 0: the sources
  std::vector<Walk> micro_batches;
  /// For a loss on the last node: the lowest group whose nodes hold the head; -1: lowest_end() of these.
  int head_from = -1;
};

/// What operations and transfers of one micro-batch take, in seconds.
struct WalkCosts {
  std::vector<double> forward_s;                // per node
  double backward_factor = 2;                   // of the node's forward; split: the input gradient
  double weight_factor = 0;                     // split: the weight gradient
  double loss_factor = 0;                       // of the forward of the loss's node
  bool loss_at_last = false;                    // else at the source
  std::vector<std::vector<double>> transfer_s;  // [from][to]
  /// Per node: most micro-batches kept from the start of a forward to the end of its backward; split:
  /// of its weight gradient.
  std::vector<int> memory;
};

/// The executor's plan of `walks`: per rank the operations in the order of their starts, with
/// predicted times. Stage s of the plan is group s; one more stage, without layers, is head and loss,
/// and lives on the sources, or on all nodes that a path may end at (docs/adr/0010-loss-at-the-source.md): the loss of a micro-batch is that
/// stage's forward and backward, one after the other. Every send comes right after what it carries
/// was made and never makes its rank wait; a receive comes right before its use, and enough are
/// posted ahead that in time no message waits for its receiver. live_bound is the nodes' memory, and
/// one more where the head is, for the loss under way. Throws Error{kRecipe} "SCHEDULE: …" when walks and
/// costs do not fit each other or give no sound plan. Cost: about operations · log.
Plan plan_from_walks(const std::string& schedule, const Walks& walks, const WalkCosts& costs);

/// Those of a problem.
WalkCosts walk_costs(const planner::Problem& problem);
/// From `ropewalk-problem/1`, of which planner::costs_from_json reads a part. Throws
/// Error{kDataMalformed}.
WalkCosts walk_costs_from_problem(const core::Json& problem, const std::string& where);
/// The lowest group that a path of as many nodes can end in: with L nodes L − 1, or one less where one of
/// these walks steps back.
int lowest_end(const Walks& walks);

/// From a planner's solution: arrangement, micro_batches[].path, .starts and .weight_starts. Throws
/// Error{kDataMalformed}.
Walks walks_from_solution(const core::Json& solution, const std::string& where);
/// All plans of a solution: that of the first iteration, `rotations`, and at last `full`, if it has any.
std::vector<Walks> turns_from_solution(const core::Json& solution, const std::string& where);

}  // namespace rw::pipeline
