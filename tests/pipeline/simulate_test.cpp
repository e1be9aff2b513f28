// Part of Ropewalk, MIT licence.
#include "pipeline/simulate.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "pipeline/classic.h"

namespace rw::pipeline {
namespace {

TEST(Simulate, TwoRanksTwoMicroBatchesByHand) {
  // 1f1b on 2 ranks, F = 2, I = 3, W = 1, transfer 0.5; B = 4.
  //   rank 0: F0 0-2, F1 2-4, gradient of 0 at 4.5 + 4 + 0.5 = … see below
  //   rank 1: x0 at 2.5, F0 2.5-4.5, B0 4.5-8.5, x1 there, F1 8.5-10.5, B1 10.5-14.5
  //   rank 0: dy0 at 9, B0 9-13, dy1 at 15, B1 15-19
  const Plan plan = plan_1f1b({1, 2, 1, 2});
  const Timeline line = simulate(plan, even_costs(2, 2, 3, 1, 0.5));
  EXPECT_DOUBLE_EQ(line.makespan, 19);
  const auto& ops = plan.operations[0];
  std::vector<std::pair<double, double>> compute;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind == OpKind::kForward || ops[i].kind == OpKind::kBackward) {
      compute.emplace_back(line.spans[0][i].begin, line.spans[0][i].end);
    }
  }
  const std::vector<std::pair<double, double>> want{{0, 2}, {2, 4}, {9, 13}, {15, 19}};
  EXPECT_EQ(compute, want);
  EXPECT_DOUBLE_EQ(line.bubble[0], 7.0 / 19);
  EXPECT_DOUBLE_EQ(line.bubble[1], 7.0 / 19);
  EXPECT_DOUBLE_EQ(line.mean_bubble(), 7.0 / 19);
  // F0 on rank 0 -> all of rank 1 -> B1 on rank 0.
  std::string chain;
  for (const OperationRef& ref : line.critical_path) {
    const auto& op =
        plan.operations[static_cast<std::size_t>(ref.rank)][static_cast<std::size_t>(ref.index)];
    if (op.kind == OpKind::kForward || op.kind == OpKind::kBackward) {
      chain += std::string(op.kind == OpKind::kForward ? "F" : "B") +
               std::to_string(op.micro_batch) + "@" + std::to_string(ref.rank) + " ";
    }
  }
  EXPECT_EQ(chain, "F0@0 F0@1 B0@1 F1@1 B1@1 B1@0 ");
}

TEST(Simulate, OneRankHasNoBubble) {
  const Timeline line = simulate(plan_gpipe({1, 1, 1, 3}), even_costs(1, 1, 1, 1));
  EXPECT_DOUBLE_EQ(line.makespan, 9);
  EXPECT_DOUBLE_EQ(line.mean_bubble(), 0);
}

TEST(Simulate, UnevenStagesAndReduce) {
  Costs costs = even_costs(2, 1, 1, 1);
  costs.forward[1] = 3;
  costs.reduce = 0.25;
  // rank 1 is the slow one: F0 1-4, B0 4-6; rank 0: B0 6-8, reduce to 8.25, update at 8.25.
  const Plan plan = plan_1f1b({1, 2, 1, 1});
  const Timeline line = simulate(plan, costs);
  EXPECT_DOUBLE_EQ(line.makespan, 8.25);
  EXPECT_DOUBLE_EQ(line.spans[1].back().begin, 8.25);
}

TEST(Simulate, SplitBackwardSendsEarly) {
  // zero_bubble on 2 ranks, 1 micro-batch: I on rank 1 ends at 3, so rank 0 is done at 5, not 6.
  const Timeline line = simulate(plan_zero_bubble({1, 2, 1, 1}), even_costs(2, 1, 1, 1));
  EXPECT_DOUBLE_EQ(line.makespan, 5);
}

TEST(Simulate, MessagesOfARankFollowOneAnotherOnItsLink) {
  // gpipe on 2 ranks, 2 micro-batches, F = I = W = 1; a message takes 3 and arrives 0.5 later.
  //   rank 0: F0 0-1, F1 1-2; x0 leaves 1-4, x1 4-7: there at 4.5 and 7.5
  //   rank 1: F0 4.5-5.5, F1 7.5-8.5, B0 8.5-10.5, B1 10.5-12.5; dy0 out at 13.5, dy1 at 16.5
  //   rank 0: B0 14-16, B1 17-19, update 19-21
  Costs costs = even_costs(2, 1, 1, 1, 0.5);
  costs.message = 3;
  costs.update = 2;
  const Plan plan = plan_gpipe({1, 2, 1, 2});
  const Timeline line = simulate(plan, costs);
  EXPECT_DOUBLE_EQ(line.makespan, 21);
  std::vector<double> begins;
  for (std::size_t i = 0; i < plan.operations[1].size(); ++i) {
    const OpKind kind = plan.operations[1][i].kind;
    if (kind == OpKind::kForward || kind == OpKind::kBackward) {
      begins.push_back(line.spans[1][i].begin);
    }
  }
  EXPECT_EQ(begins, (std::vector<double>{4.5, 7.5, 8.5, 10.5}));
  EXPECT_DOUBLE_EQ(line.spans[0].back().begin, 19);
}

TEST(Simulate, RefusesAPlanThatStops) {
  Plan plan = plan_1f1b({1, 2, 1, 1});
  plan.operations[0].erase(plan.operations[0].begin() + 1);  // the send
  try {
    simulate(plan, even_costs(2, 1, 1, 1));
    FAIL() << "simulated a plan that cannot end";
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kBug);
    EXPECT_NE(std::string(error.what()).find("is stuck at"), std::string::npos);
  }
}

}  // namespace
}  // namespace rw::pipeline
