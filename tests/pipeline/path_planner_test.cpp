// Part of Ropewalk, MIT licence.
// The planner of paths behind plans that are in use.
#include "pipeline/path_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "pipeline/classic.h"
#include "pipeline/plan_check.h"
#include "pipeline/planners.h"
#include "pipeline/replanner.h"
#include "pipeline/simulate.h"
#include "planner/planner.h"
#include "planner/solution.h"

namespace rw::pipeline {
namespace {

/// What `costs` say of every operation of a plan of paths.
CostFunctions functions_of(const Plan& plan, const WalkCosts& costs) {
  CostFunctions out;
  out.operation = [last = plan.stages - 1, costs](int rank, const Operation& op) {
    if (!computes(op.kind)) return 0.0;
    const bool forward = op.kind == OpKind::kForward;
    const double whole = costs.forward_s[static_cast<std::size_t>(rank)];
    if (op.stage == last) return costs.loss_factor * whole * (forward ? 2.0 : 1.0) / 3;
    if (op.kind == OpKind::kBackwardWeight) return costs.weight_factor * whole;
    return forward ? whole : costs.backward_factor * whole;
  };
  out.transfer = [costs](int from, int to) {
    return costs.transfer_s[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  };
  return out;
}

Plan skipping(int dp, int pp, int micro_batches, int kept) {
  Problem problem;
  problem.dp = dp;
  problem.pp = pp;
  problem.micro_batches = micro_batches;
  return plan_skipping(problem, kept);
}

/// Every rank alike but one.
WalkCosts one_slow(const Plan& plan, int slow, double factor) {
  const auto ranks = static_cast<std::size_t>(plan.ranks());
  WalkCosts out;
  out.forward_s.assign(ranks, 1);
  out.forward_s[static_cast<std::size_t>(slow)] = factor;
  out.loss_factor = 0.25;
  out.transfer_s.assign(ranks, std::vector<double>(ranks, 0.1));
  out.memory.assign(ranks, 4);  // as plan_skipping of three stages gives
  return out;
}

double end_of(const Plan& plan) {
  double out = 0;
  for (const auto& spans : plan.predicted) {
    for (const Span& span : spans) out = std::max(out, span.end);
  }
  return out;
}

/// Messages are planned with the network's times, not with those that training measures (none).
TEST(PathPlanner, ANewPlanKnowsTheNetwork) {
  Plan plan = skipping(2, 3, 8, 2);
  WalkCosts measured = one_slow(plan, 5, 2);
  plan.predicted = simulate(plan, functions_of(plan, measured)).spans;
  for (auto& row : measured.transfer_s) row.assign(row.size(), 0);
  std::vector<std::vector<double>> links(6, std::vector<double>(6, 0));
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) links[i][j] = 0.25 + 0.01 * static_cast<double>(6 * i + j);
  }
  for (const bool known : {false, true}) {
    const auto replan = make_replan(known ? links : std::vector<std::vector<double>>{}, 0.1);
    const Plan next = replan(plan, measured);
    int messages = 0;
    for (int rank = 0; rank < next.ranks(); ++rank) {
      const auto from = static_cast<std::size_t>(rank);
      for (std::size_t i = 0; i < next.operations[from].size(); ++i) {
        const Operation& op = next.operations[from][i];
        if (!op.sends()) continue;
        ++messages;
        const double want = known ? links[from][static_cast<std::size_t>(op.peer)] : 0;
        EXPECT_NEAR(next.predicted[from][i].length(), want, 1e-9);
      }
    }
    EXPECT_GT(messages, 0);
  }
}

TEST(PathPlanner, TheProblemIsThatOfThePlanInUse) {
  const Plan plan = skipping(2, 4, 12, 3);
  const planner::Problem problem = problem_of(plan, one_slow(plan, 5, 3));
  EXPECT_EQ(problem.arrangement.size(), 4U);
  EXPECT_EQ(problem.arrangement[1], (planner::List<int>{1, 5}));
  EXPECT_EQ(problem.path_length, 3);
  EXPECT_EQ(problem.micro_batches_per_source, 6);
  EXPECT_EQ(problem.rules.stage_quota, 8);  // 12 micro-batches visit 2 of 3 stages
  EXPECT_EQ(problem.rules.max_swaps, 0);
  EXPECT_EQ(problem.nodes[5].forward_s, 3);
}

TEST(PathPlanner, LessForASlowRankAndAShorterStep) {
  Plan plan = skipping(2, 4, 12, 3);
  const WalkCosts costs = one_slow(plan, 5, 3);
  plan.predicted = simulate(plan, functions_of(plan, one_slow(plan, 5, 1))).spans;
  const double kept = simulate(plan, functions_of(plan, costs)).makespan;
  const Plan next = replan_paths(plan, costs, 0.5);
  EXPECT_EQ(takeover_problem(plan, next), "");
  EXPECT_EQ(plan_problem(next), "");
  EXPECT_LT(end_of(next), 0.9 * kept);
  for (int rank = 0; rank < plan.ranks(); ++rank) {  // the slot left free stays free
    EXPECT_LT(peak_live(next, rank), next.live_bound[static_cast<std::size_t>(rank)]) << rank;
  }
  const auto visits = [](const Plan& of, int rank) {
    int out = 0;
    for (const auto& path : of.paths) {
      out += static_cast<int>(std::count_if(
          path.begin(), path.end(), [&](const Visit& visit) { return visit.rank == rank; }));
    }
    return out;
  };
  EXPECT_LT(visits(next, 5), visits(plan, 5));
}

TEST(PathPlanner, RefusesPlansOfOtherSchedules) {
  Problem problem;
  problem.dp = 1;
  problem.pp = 2;
  problem.micro_batches = 4;
  const Plan plan = plan_1f1b(problem);
  EXPECT_THROW(replan_paths(plan, one_slow(plan, 0, 1), 0.1), core::Error);
}

/// Two sources, two stages of two nodes behind them, every path leaving one of them out.
core::Json split_problem() {
  core::Json out =
      core::Json::parse(R"({"format": "ropewalk-problem/1", "nodes": [], "transfer_s": [],
    "split_backward": {"input_factor": 1, "weight_factor": 0.5}, "loss_factor": 0.25, "gap_s": 0,
    "gap_first_forward_s": 0, "stage_sizes": [2, 2, 2], "path_length": 2,
    "micro_batches_per_source": 6, "rules": {"max_swaps": 0, "max_jump": 2, "stage_quota": 6}})");
  for (int i = 0; i < 6; ++i) {
    out["nodes"].push_back({{"forward_s", 1 + 0.1 * i}, {"memory_micro_batches", 2}});
    core::Json row = core::Json::array();
    for (int j = 0; j < 6; ++j) row.push_back(i == j ? 0.0 : 0.2 + 0.1 * ((3 * i + j) % 5));
    out["transfer_s"].push_back(row);
  }
  return out;
}

TEST(PathPlanner, SplitSolutionsRunAsPlannedAndAreNotPlannedAnew) {
  for (const char* contention : {"none", "serial"}) {
    core::Json json = split_problem();
    json["contention"] = contention;
    planner::PlanOptions options;
    options.limits.evaluations = 5000;
    const auto solution = planner::plan(planner::problem_from_json(json, "p"), options);
    const WalkCosts costs = walk_costs_from_problem(json, "p");
    const Walks walks = walks_from_solution(planner::to_json(solution), "s");
    const Plan plan = plan_from_walks("skippipe", walks, costs);
    EXPECT_EQ(plan_problem(plan), "");
    EXPECT_DOUBLE_EQ(end_of(plan), solution.makespan_s);
    // Without contention nothing is later than planned.
    EXPECT_LE(simulate(plan, functions_of(plan, costs)).makespan, solution.makespan_s + 1e-9);
    try {
      replan_paths(plan, costs, 0.1);
      ADD_FAILURE() << "accepted";
    } catch (const core::Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("weight gradients"));
    }
  }
}

}  // namespace
}  // namespace rw::pipeline
