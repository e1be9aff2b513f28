// Part of Ropewalk, MIT licence.
// A loss where the path ends instead of where it began: the same gradients on other ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "collected.h"
#include "pipeline/path_planner.h"
#include "pipeline/plan_check.h"
#include "pipeline/simulate.h"
#include "pipeline/trainer.h"
#include "pipeline/walk_chooser.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::Outcome;
using test::TinyJob;

WalkCosts even_costs(int nodes, bool loss_at_last) {
  const auto count = static_cast<std::size_t>(nodes);
  WalkCosts out;
  out.forward_s.assign(count, 1);
  out.loss_factor = 0.25;
  out.loss_at_last = loss_at_last;
  out.transfer_s.assign(count, std::vector<double>(count, 0));
  out.memory.assign(count, 4);
  return out;
}

/// Paths in turn, on either place of the loss.
Plan plan_of(int dp, int pp, int length, bool loss_at_last) {
  Problem problem;
  problem.dp = dp;
  problem.pp = pp;
  problem.micro_batches = 8;
  const WalkCosts costs = even_costs(dp * pp, loss_at_last);
  return plan_from_walks(
      "skippipe", schedule_walks(spread_stages(problem), choose_paths(problem, length), costs),
      costs);
}

Outcome train(const TinyJob& job, const Plan& plan) {
  return test::outcome_of(plan.ranks(), 4, [&](comm::Communicator& world) {
    return make_trainer(job.options, job.parts(world), plan);
  });
}

TEST(LossAtLast, HasTheGradientsOfALossAtTheSource) {
  for (const auto& [dp, pp, length, tied, zero] :
       {std::tuple{1, 3, 2, false, 0}, std::tuple{2, 4, 3, true, 0},
        std::tuple{2, 3, 3, true, 1}}) {
    TinyJob job(tied);
    job.options.parallel = {.dp = dp, .pp = pp, .zero = zero};
    job.options.pipeline.schedule = "skippipe";
    const Plan last = plan_of(dp, pp, length, true);
    EXPECT_EQ(last.paths[0].back().rank, last.paths[0][last.paths[0].size() - 2].rank);
    const Outcome got = train(job, last);
    const Outcome want = train(job, plan_of(dp, pp, length, false));
    for (std::size_t i = 0; i < want.steps.size(); ++i) {
      EXPECT_NEAR(got.steps[i].loss, want.steps[i].loss, 2e-5 * want.steps[i].loss) << pp << tied;
      EXPECT_NEAR(got.steps[i].grad_norm, want.steps[i].grad_norm, 2e-4 * want.steps[i].grad_norm);
    }
    ASSERT_EQ(got.state.size(), want.state.size());
    job.options.pipeline.patience_ms = 0;
    const Outcome patient = train(job, last);
    EXPECT_EQ(patient.state, got.state);
  }
}

TEST(LossAtLast, TheHeadIsWhereverAPathCouldEnd) {
  Walks walks;
  walks.arrangement = {{0}, {1}, {2}, {3}};
  walks.micro_batches = {{{0, 2, 3}, {}}, {{0, 1, 3}, {}}};
  EXPECT_EQ(lowest_end(walks), 2);
  walks.micro_batches.push_back({{0, 3, 2}, {}});
  EXPECT_EQ(lowest_end(walks), 1);
  walks.micro_batches.push_back({{0}, {}});
  EXPECT_EQ(lowest_end(walks), 0);
}

TEST(LossAtLast, IsPlannedAnewWithTheHeadWhereItIs) {
  // Paths that all end in the last stages, so that new ones may end below.
  Walks walks;
  walks.arrangement = {{0}, {1}, {2}, {3}, {4}, {5}};
  for (int m = 0; m < 6; ++m) {
    const int end = 4 + m % 2;
    const double begin = 30.0 * m;
    Walk& walk = walks.micro_batches.emplace_back();
    walk.nodes = {0, 1 + m % 3, end};
    for (int i = 0; i < 7; ++i) walk.starts.push_back(begin + 3 * i);
  }
  WalkCosts costs = even_costs(6, true);
  Plan plan = plan_from_walks("skippipe", walks, costs);
  EXPECT_EQ(plan.stages_of_rank[2], (std::vector<int>{2, 6}));
  EXPECT_EQ(plan.stages_of_rank[1], (std::vector<int>{1}));
  costs.forward_s[5] = 3;
  EXPECT_EQ(problem_of(plan, costs).loss_at, planner::LossAt::kLast);
  const Plan next = replan_paths(plan, costs, 0.3);
  EXPECT_EQ(plan_problem(next), "");
  EXPECT_EQ(next.stages_of_rank, plan.stages_of_rank);
  const CostFunctions times{
      [&](int rank, const Operation& op) {
        if (!computes(op.kind)) return 0.0;
        const double forward = costs.forward_s[static_cast<std::size_t>(rank)];
        return op.stage + 1 == plan.stages ? costs.loss_factor * forward / 2 : forward;
      },
      [](int, int) { return 0.0; }};
  EXPECT_LT(simulate(next, times).makespan, simulate(plan, times).makespan);
}

}  // namespace
}  // namespace rw::pipeline
