// Part of Ropewalk, MIT licence.
#include "pipeline/classic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "pipeline/plan_check.h"
#include "pipeline/simulate.h"

namespace rw::pipeline {
namespace {

using ::testing::HasSubstr;

Problem problem(int pp, int micro_batches, int chunks = 1, int dp = 1) {
  return {dp, pp, chunks, micro_batches};
}

/// A rank's computing operations: "F0 F1 B0 …", with ".stage" when it holds several.
std::string work(const Plan& plan, int rank) {
  std::string out;
  const auto index = static_cast<std::size_t>(rank);
  for (const Operation& op : plan.operations[index]) {
    const char* letter = nullptr;
    if (op.kind == OpKind::kForward) letter = "F";
    if (op.kind == OpKind::kBackward) letter = "B";
    if (op.kind == OpKind::kBackwardInput) letter = "I";
    if (op.kind == OpKind::kBackwardWeight) letter = "W";
    if (letter == nullptr) continue;
    if (!out.empty()) out += " ";
    out += letter + std::to_string(op.micro_batch);
    if (plan.stages_of_rank[index].size() > 1) out += "." + std::to_string(op.stage);
  }
  return out;
}

double makespan(const Plan& plan) {
  return simulate(plan, even_costs(plan.stages, 1, 1, 1)).makespan;
}

TEST(Classic, SmallSchedulesByHand) {
  const Plan gpipe = plan_gpipe(problem(2, 3));
  EXPECT_EQ(work(gpipe, 0), "F0 F1 F2 B0 B1 B2");
  EXPECT_EQ(work(gpipe, 1), "F0 F1 F2 B0 B1 B2");
  const Plan one = plan_1f1b(problem(3, 4));
  EXPECT_EQ(work(one, 0), "F0 F1 F2 B0 F3 B1 B2 B3");
  EXPECT_EQ(work(one, 1), "F0 F1 B0 F2 B1 F3 B2 B3");
  EXPECT_EQ(work(one, 2), "F0 B0 F1 B1 F2 B2 F3 B3");
  const Plan zero = plan_zero_bubble(problem(2, 3));
  EXPECT_EQ(work(zero, 0), "F0 F1 I0 W0 F2 I1 W1 I2 W2");
  EXPECT_EQ(work(zero, 1), "F0 I0 F1 I1 W0 F2 I2 W1 W2");
  const Plan interleaved = plan_interleaved(problem(2, 2, 2));
  EXPECT_EQ(work(interleaved, 1), "F0.1 F1.1 F0.3 B0.3 F1.3 B1.3 B0.1 B1.1");
}

TEST(Classic, MessagesOfOneFOneBByHand) {
  const Plan plan = plan_1f1b(problem(2, 1));
  const std::vector<Operation> first{
      {OpKind::kForward, 0, 0},
      {OpKind::kSendActivation, 0, 0, 1, 0},
      {OpKind::kReceiveGradient, 0, 0, 1, 3},
      {OpKind::kBackward, 0, 0},
      {OpKind::kReduce, -1, 0},
      {OpKind::kUpdate},
  };
  const std::vector<Operation> second{
      {OpKind::kReceiveActivation, 0, 1, 0, 0}, {OpKind::kForward, 0, 1}, {OpKind::kBackward, 0, 1},
      {OpKind::kSendGradient, 0, 1, 0, 3},      {OpKind::kReduce, -1, 1}, {OpKind::kUpdate},
  };
  EXPECT_EQ(plan.operations[0], first);
  EXPECT_EQ(plan.operations[1], second);
  EXPECT_EQ(plan.live_bound, (std::vector<int>{1, 1}));
}

TEST(Classic, EveryPlanIsSound) {
  for (int pp = 1; pp <= 8; ++pp) {
    for (int m = 1; m <= 16; ++m) {
      for (const char* name : {"gpipe", "1f1b", "zero_bubble"}) {
        EXPECT_EQ(plan_problem(make_plan(name, problem(pp, m))), "") << name << pp << " " << m;
      }
      for (int chunks = 1; chunks <= 4; ++chunks) {
        EXPECT_EQ(plan_problem(plan_interleaved(problem(pp, m, chunks))), "")
            << pp << " " << m << " " << chunks;
      }
    }
  }
}

TEST(Classic, ReplicasShareTheMicroBatches) {
  for (int dp = 1; dp <= 4; ++dp) {
    for (int m = 1; m <= 9; ++m) {
      for (const char* name : {"gpipe", "1f1b", "zero_bubble"}) {
        EXPECT_EQ(plan_problem(make_plan(name, problem(3, m, 1, dp))), "") << name << dp << m;
      }
      EXPECT_EQ(plan_problem(plan_interleaved(problem(2, m, 3, dp))), "") << dp << " " << m;
      EXPECT_EQ(plan_problem(plan_forward(plan_interleaved(problem(2, m, 3, dp)), m + 1)), "")
          << dp << " " << m;
    }
  }
  const Plan plan = plan_1f1b(problem(2, 4, 1, 2));
  EXPECT_EQ(work(plan, 0), "F0 F2 B0 B2");
  EXPECT_EQ(work(plan, 3), "F1 B1 F3 B3");
}

TEST(Classic, MemoryIsAsPromised) {
  const Plan gpipe = plan_gpipe(problem(4, 8));
  EXPECT_EQ(gpipe.live_bound, (std::vector<int>{8, 8, 8, 8}));
  const Plan one = plan_1f1b(problem(4, 8));
  EXPECT_EQ(one.live_bound, (std::vector<int>{4, 3, 2, 1}));
  for (int pp = 1; pp <= 8; ++pp) {
    for (int m = 1; m <= 16; ++m) {
      const Plan zero = plan_zero_bubble(problem(pp, m));
      const int most = *std::max_element(zero.live_bound.begin(), zero.live_bound.end());
      EXPECT_LE(most, std::min(pp, m)) << pp << " " << m;
    }
  }
}

TEST(Classic, BubblesAreOrdered) {
  for (int pp = 2; pp <= 8; ++pp) {
    for (int m = pp; m <= 16; ++m) {
      const double gpipe = makespan(plan_gpipe(problem(pp, m)));
      const double one = makespan(plan_1f1b(problem(pp, m)));
      const double zero = makespan(plan_zero_bubble(problem(pp, m)));
      EXPECT_DOUBLE_EQ(gpipe, 3 * (m + pp - 1));
      EXPECT_DOUBLE_EQ(one, 3 * (m + pp - 1));
      EXPECT_LT(zero, one) << pp << " " << m;
    }
  }
  // 1f1b's memory allows gpipe only pp micro-batches at a time: 16 of them in four rounds of 4.
  EXPECT_LT(makespan(plan_1f1b(problem(4, 16))), 4 * makespan(plan_gpipe(problem(4, 4))));
  // ZB-H1: (pp − 1) · (F + I − W) beside the work.
  EXPECT_DOUBLE_EQ(makespan(plan_zero_bubble(problem(4, 8))), 3 * 8 + 3);
  // Interleaved, 2 chunks of half the cost: half of 1f1b's bubble.
  const Plan plan = plan_interleaved(problem(4, 8, 2));
  const double half = simulate(plan, even_costs(8, 0.5, 0.5, 0.5)).makespan;
  EXPECT_DOUBLE_EQ(half, 3 * 8 + 3 * 3 / 2.0);
}

TEST(Classic, ForwardOnly) {
  const Plan plan = plan_forward(plan_1f1b(problem(2, 2)), 2);
  EXPECT_EQ(work(plan, 1), "F0 F1");
  EXPECT_EQ(plan.live_bound, (std::vector<int>{0, 0}));
}

TEST(Classic, RefusesWhatItCannotPlan) {
  const auto refusal = [](const std::string& name, const Problem& given) -> std::string {
    try {
      make_plan(name, given);
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal("skippipe", problem(2, 2)), HasSubstr("not in this version"));
  EXPECT_THAT(refusal("1f1b", problem(2, 2, 2)), HasSubstr("want 1; try interleaved"));
  EXPECT_THAT(refusal("gpipe", problem(2, 0)), HasSubstr("micro-batches 0; want all at least 1"));
  EXPECT_THAT(refusal("gpipe", problem(2, 300000)), HasSubstr("try larger micro-batches"));
}

}  // namespace
}  // namespace rw::pipeline
