// Part of Ropewalk, MIT licence.
#include "optim/schedule.h"

#include <gtest/gtest.h>

#include "support/numbers.h"

namespace rw::optim {
namespace {

double rate(const std::string& name, std::int64_t step, std::int64_t max_steps = 110) {
  Options options;
  options.lr = 1.0;
  ScheduleOptions schedule;
  schedule.name = name;
  schedule.warmup_steps = 10;
  schedule.min_lr = 0.1;
  return learning_rate(options, schedule, step, max_steps);
}

TEST(ScheduleTest, WarmsUpLinearlyFromStepOne) {
  for (const char* name : {"constant", "linear", "cosine"}) {
    EXPECT_DOUBLE_EQ(rate(name, 1), 0.1);
    EXPECT_DOUBLE_EQ(rate(name, 5), 0.5);
    EXPECT_DOUBLE_EQ(rate(name, 10), 1.0);
  }
}

TEST(ScheduleTest, ConstantStays) {
  EXPECT_DOUBLE_EQ(rate("constant", 11), 1.0);
  EXPECT_DOUBLE_EQ(rate("constant", 1000), 1.0);
}

TEST(ScheduleTest, LinearReachesTheLeastAtTheLastStep) {
  EXPECT_DOUBLE_EQ(rate("linear", 60), 0.55);
  EXPECT_DOUBLE_EQ(rate("linear", 110), 0.1);
  EXPECT_DOUBLE_EQ(rate("linear", 500), 0.1);
}

TEST(ScheduleTest, CosineIsHalfwayInTheMiddle) {
  EXPECT_DOUBLE_EQ(rate("cosine", 60), 0.55);
  EXPECT_NEAR(rate("cosine", 35), 0.1 + 0.9 * (1 + std::sqrt(0.5)) / 2, 1e-12);
  EXPECT_DOUBLE_EQ(rate("cosine", 110), 0.1);
  EXPECT_DOUBLE_EQ(rate("cosine", 111), 0.1);
}

TEST(ScheduleTest, WithoutWarmUpTheFirstStepHasTheFullRate) {
  Options options;
  options.lr = 0.25;
  const ScheduleOptions schedule;
  EXPECT_DOUBLE_EQ(learning_rate(options, schedule, 1, 10), 0.25);
}

TEST(ScheduleTest, WarmUpLongerThanTheRun) {
  EXPECT_DOUBLE_EQ(rate("cosine", 5, 5), 0.5);
  EXPECT_DOUBLE_EQ(rate("linear", 10, 5), 1.0);
}

TEST(ScheduleTest, RefusesOtherNamesAndStepZero) {
  EXPECT_EQ(test::message_of([] { rate("step", 20); }),
            "lr_scheduler.name: got step, want one of constant, linear, cosine");
  EXPECT_EQ(test::message_of([] { rate("constant", 0); }), "learning_rate: got step 0, want >= 1");
}

}  // namespace
}  // namespace rw::optim
