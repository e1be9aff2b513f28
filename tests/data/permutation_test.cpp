// Part of Ropewalk, MIT licence.
#include "data/permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "core/rng.h"

namespace rw::data {
namespace {

const std::uint64_t kKey = key4(42, 1, 2, 3);

TEST(Permutation, KeysAndMixAreTheGoldenOnes) {
  EXPECT_EQ(kKey, 0x3fb96077da5807fdU);
  EXPECT_EQ(core::mix64(0), 0xe220a8397b1dcdafU);
  EXPECT_EQ(core::mix64(1), 0x910a2dec89025cc1U);
  EXPECT_EQ(core::mix64(42), 0xbdd732262feb6e95U);
}

TEST(Permutation, FeistelGoldenVectors) {
  const std::map<std::uint64_t, std::vector<std::uint64_t>> golden{
      {5, {2, 3, 4, 0, 1}},
      {97, {10, 43, 66, 15, 27, 58, 49, 57}},
      {1000, {675, 310, 451, 966, 78, 95, 6, 250}},
      {4097, {181, 942, 1920, 3688, 634, 739, 883, 1100}},
      {2800000, {2026101, 667328, 131514, 2615946, 1965187, 859775, 2532966, 2452580}}};
  for (const auto& [n, want] : golden) {
    const Feistel feistel(n, kKey);
    for (std::size_t i = 0; i < want.size(); ++i)
      EXPECT_EQ(feistel.at(i), want[i]) << n << " " << i;
  }
}

TEST(Permutation, FisherYatesGoldenVectors) {
  const std::map<std::uint32_t, std::vector<std::uint32_t>> golden{
      {5, {1, 0, 4, 3, 2}},
      {10, {1, 6, 7, 3, 2, 9, 0, 8}},
      {97, {83, 33, 29, 50, 79, 34, 46, 73}},
      {4096, {1052, 1888, 3219, 3996, 2165, 4015, 1076, 2841}}};
  for (const auto& [n, want] : golden) {
    const auto got = fisher_yates(n, kKey);
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i], want[i]) << n << " " << i;
  }
}

TEST(Permutation, FeistelIsABijectionWithItsInverse) {
  for (std::uint64_t n = 1; n < 600; ++n) {
    const Feistel feistel(n, key4(n, 0, 0, 0));
    std::vector<bool> seen(n, false);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t to = feistel.at(i);
      ASSERT_LT(to, n);
      ASSERT_FALSE(seen[to]);
      seen[to] = true;
      ASSERT_EQ(feistel.inverse(to), i);
    }
  }
}

TEST(Permutation, LargeSizesStayInside) {
  const std::uint64_t n = (std::uint64_t{1} << 40) + 12345;
  const Feistel feistel(n, kKey);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t to = feistel.at(i * 1000003);
    EXPECT_LT(to, n);
    EXPECT_EQ(feistel.inverse(to), i * 1000003);
  }
}

TEST(Permutation, TheRuleChangesAt4096) {
  const auto table = fisher_yates(4096, kKey);
  const Permutation small(4096, kKey);
  for (std::uint64_t i = 0; i < 4096; i += 17) EXPECT_EQ(small.at(i), table[i]);
  const Feistel feistel(4097, kKey);
  const Permutation large(4097, kKey);
  for (std::uint64_t i = 0; i < 4097; i += 17) EXPECT_EQ(large.at(i), feistel.at(i));
}

TEST(Permutation, EveryOrderOfFiveIsAboutEquallyLikely) {
  std::map<std::vector<std::uint32_t>, int> counts;
  constexpr int kDraws = 24000;
  for (int i = 0; i < kDraws; ++i)
    ++counts[fisher_yates(5, key4(7, static_cast<std::uint64_t>(i), 0, 0))];
  EXPECT_EQ(counts.size(), 120U);
  double chi = 0;
  for (const auto& [order, count] : counts) chi += (count - 200.0) * (count - 200.0) / 200.0;
  EXPECT_LT(chi, 119 + 5 * 15.4);  // 119 degrees of freedom, five standard deviations
}

}  // namespace
}  // namespace rw::data
