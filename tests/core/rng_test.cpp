// Part of Ropewalk, MIT licence.
#include "core/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace rw::core {
namespace {

TEST(PhiloxTest, GivesTheKnownAnswersOfRandom123) {
  // kat_vectors of Random123: counter 0, key 0.
  const RngCell zero{.seed = 0, .purpose = Purpose::kDataOrder};
  EXPECT_EQ(philox(zero, 0),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(PhiloxTest, EveryFieldHasItsOwnBits) {
  std::set<std::uint32_t> seen;
  for (const RngCell& cell : {RngCell{.seed = 1}, RngCell{.seed = 1, .purpose = Purpose::kSampling},
                              RngCell{.seed = 1, .tensor = 1}, RngCell{.seed = 1, .step = 1},
                              RngCell{.seed = 1, .member = 1}, RngCell{.seed = 2}}) {
    seen.insert(philox(cell, 0)[0]);
    seen.insert(philox(cell, 1)[0]);
    seen.insert(philox(cell, std::uint64_t{1} << 32)[0]);
  }
  EXPECT_EQ(seen.size(), 18U);
}

TEST(UniformTest, CoversTheUnitInterval) {
  double sum = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const double u = uniform(RngCell{.seed = 5}, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
}

TEST(FillNormalTest, ASliceEqualsTheSameElementsOfTheWhole) {
  Tensor whole = Tensor::empty({101});
  fill_normal(3, "w", 0.02F, 0, whole);
  const auto all = to_floats(whole);
  for (const std::int64_t first : {1, 2, 50}) {
    Tensor part = Tensor::empty({51});
    fill_normal(3, "w", 0.02F, first, part);
    const auto got = to_floats(part);
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(got[i], all[static_cast<std::size_t>(first) + i]);
  }
}

TEST(FillNormalTest, HasMeanAndDeviationOfItsName) {
  Tensor x = Tensor::empty({100000});
  fill_normal(3, "w", 2.0F, 0, x);
  double sum = 0;
  double squares = 0;
  for (const float v : to_floats(x)) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  EXPECT_NEAR(sum / 1e5, 0.0, 0.03);
  EXPECT_NEAR(std::sqrt(squares / 1e5), 2.0, 0.03);
  Tensor other = Tensor::empty({100000});
  fill_normal(3, "v", 2.0F, 0, other);
  EXPECT_NE(to_floats(other), to_floats(x));
}

TEST(Mix64Test, GoldenValues) {
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(mix64(1), 0x910a2dec89025cc1ULL);
  EXPECT_EQ(mix64(42), 0xbdd732262feb6e95ULL);
}

}  // namespace
}  // namespace rw::core
