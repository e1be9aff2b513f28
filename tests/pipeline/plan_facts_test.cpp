// Part of Ropewalk, MIT licence.
#include "pipeline/plan_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/planners.h"
#include "pipeline/walks.h"

namespace rw::pipeline {
namespace {

using ::testing::ElementsAre;

Plan classic(const std::string& schedule, int dp) {
  ParallelOptions parallel;
  parallel.pp = 3;
  parallel.dp = dp;
  Options options;
  options.schedule = schedule;
  return plan_for(parallel, options, 6 * dp);
}

TEST(PlanFacts, ClassicPlansHoldAllOrAsManyAsThereAreStages) {
  const auto gpipe = facts_of(classic("gpipe", 1));
  EXPECT_THAT(gpipe.stage_sizes, ElementsAre(1, 1, 1));
  EXPECT_EQ(gpipe.held, 6);
  EXPECT_EQ(gpipe.skip_share, 0);
  EXPECT_FALSE(gpipe.own_times);
  const auto one = facts_of(classic("1f1b", 2));
  EXPECT_THAT(one.stage_sizes, ElementsAre(2, 2, 2));
  EXPECT_EQ(one.held, 3);
}

TEST(PlanFacts, OfWalksAHeadWithoutLayersIsNoStage) {
  // Three stages on four nodes; both micro-batches leave one stage out.
  const Walks walks = [] {
    Walks out;
    out.arrangement = {{0}, {1, 2}, {3}};
    out.micro_batches = {{{0, 1}, {0, 1, 3, 3.25, 5.25}}, {{0, 3}, {8, 9, 11, 11.25, 13.25}}};
    return out;
  }();
  WalkCosts costs;
  costs.forward_s = {1, 1, 1, 1};
  costs.loss_factor = 0.25;
  costs.transfer_s.assign(4, std::vector<double>(4, 0));
  costs.memory = {2, 2, 2, 2};
  const Plan plan = plan_from_walks("skippipe", walks, costs);
  ASSERT_TRUE(plan.head_alone);
  const auto facts = facts_of(plan);
  EXPECT_THAT(facts.stage_sizes, ElementsAre(1, 2, 1));
  EXPECT_NEAR(facts.skip_share, 1.0 / 3, 1e-12);
  EXPECT_EQ(facts.held, 1);  // one after the other; the head's pair is not among them
  EXPECT_TRUE(facts.own_times);
}

}  // namespace
}  // namespace rw::pipeline
