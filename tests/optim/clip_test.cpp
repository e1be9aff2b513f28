// Part of Ropewalk, MIT licence.
#include "optim/clip.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rw::optim {
namespace {

TEST(ClipTest, ShortGradientsStay) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_factor(0.0, 1.0), 1.0);
}

TEST(ClipTest, LongGradientsShrinkToTheLimit) {
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_NEAR(4.0 * clip_factor(4.0, 1.0), 1.0, 1e-6);
}

TEST(ClipTest, TheLimitItselfIsTouchedAsPyTorchDoes) {
  EXPECT_DOUBLE_EQ(clip_factor(1.0, 1.0), 1.0 / (1.0 + 1e-6));
}

TEST(ClipTest, ZeroTurnsItOff) {
  EXPECT_EQ(clip_factor(1e9, 0.0), 1.0);
  EXPECT_EQ(clip_factor(1e9, -1.0), 1.0);
}

}  // namespace
}  // namespace rw::optim
