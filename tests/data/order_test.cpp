// Part of Ropewalk, MIT licence.
#include "data/order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "core/error.h"

namespace rw::data {
namespace {

using ::testing::HasSubstr;

std::vector<RowSample> rows(const Order& order, std::int64_t count) {
  std::vector<RowSample> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(order.at(1 + i / order.rows_per_step(), i % order.rows_per_step()));
  }
  return out;
}

/// Per source: samples come in whole epochs, each a permutation.
void expect_epochs(const std::vector<RowSample>& all, const std::vector<std::int64_t>& samples) {
  std::map<std::size_t, std::vector<RowSample>> by_source;
  for (const auto& row : all) by_source[row.source].push_back(row);
  for (const auto& [source, mine] : by_source) {
    const auto size = static_cast<std::size_t>(samples[source]);
    for (std::size_t begin = 0; begin < mine.size(); begin += size) {
      std::set<std::int64_t> seen;
      for (std::size_t i = begin; i < std::min(mine.size(), begin + size); ++i) {
        ASSERT_EQ(mine[i].epoch, static_cast<std::int64_t>(begin / size)) << source << " " << i;
        ASSERT_TRUE(seen.insert(mine[i].sample).second) << source << " " << i;
        ASSERT_LT(mine[i].sample, samples[source]);
      }
    }
  }
}

TEST(Order, OneSourceGoesThroughWholeEpochs) {
  const std::vector<std::int64_t> samples{37};
  const Order order(samples, {1.0}, "random", 3, 8);
  const auto all = rows(order, 200);
  expect_epochs(all, samples);
  EXPECT_NE(std::vector(all.begin(), all.begin() + 37),
            std::vector(all.begin() + 37, all.begin() + 74));
}

class BothOrders : public ::testing::TestWithParam<const char*> {};

TEST_P(BothOrders, MixturesKeepWholeEpochsPerSource) {
  const std::vector<std::int64_t> samples{11, 500, 5000};
  const Order order(samples, {1.0, 2.5, 0.25}, GetParam(), 9, 16);
  expect_epochs(rows(order, 20000), samples);
}

TEST_P(BothOrders, SharesFollowTheWeights) {
  const Order order({1000, 1000, 1000}, {5, 3, 2}, GetParam(), 1, 4);
  std::map<std::size_t, double> counts;
  for (const auto& row : rows(order, 40960)) counts[row.source] += 1;
  EXPECT_NEAR(counts[0], 20480, 3);
  EXPECT_NEAR(counts[1], 12288, 3);
  EXPECT_NEAR(counts[2], 8192, 3);
}

TEST_P(BothOrders, RareSourcesComeToo) {
  const Order order({10, 10}, {1, 1e-4}, GetParam(), 1, 1);
  int rare = 0;
  for (const auto& row : rows(order, 50000)) rare += row.source == 1 ? 1 : 0;
  EXPECT_NEAR(rare, 5, 1);
}

TEST_P(BothOrders, StepsAreCutsOfOneStream) {
  const Order narrow({100, 300}, {1, 2}, GetParam(), 4, 4);
  const Order wide({100, 300}, {1, 2}, GetParam(), 4, 32);
  EXPECT_EQ(rows(narrow, 6400), rows(wide, 6400));
}

TEST_P(BothOrders, RandomAccessFromManyThreadsGivesTheSameRows) {
  const Order order({7, 90, 4500}, {1, 1, 3}, GetParam(), 4, 8);
  const auto want = rows(order, 12000);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 11999 - t; i > 10; i -= 5) {
        const auto n = static_cast<std::int64_t>(i);
        wrong[t] += order.at(1 + n / 8, n % 8) == want[i] ? 0 : 1;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

INSTANTIATE_TEST_SUITE_P(Order, BothOrders, ::testing::Values("random", "spread"));

TEST(Order, SpreadIsEvenEverywhere) {
  const Order order({1000, 1000}, {3, 1}, "spread", 5, 1);
  std::int64_t second = 0;
  const auto all = rows(order, 4000);
  for (std::size_t i = 0; i < all.size(); ++i) {
    second += all[i].source == 1 ? 1 : 0;
    ASSERT_NEAR(static_cast<double>(second), static_cast<double>(i + 1) / 4, 2) << i;
  }
}

TEST(Order, RandomIsNotSpread) {
  const Order order({1000, 1000}, {1, 1}, "random", 5, 1);
  int runs = 0;
  const auto all = rows(order, 4096);
  for (std::size_t i = 1; i < all.size(); ++i) runs += all[i].source == all[i - 1].source ? 1 : 0;
  EXPECT_GT(runs, 1500);  // about half; strictly alternating sources would give none
  EXPECT_LT(runs, 2600);
}

TEST(Order, SeedsGiveOtherOrders) {
  const Order a({5000}, {1}, "random", 1, 8);
  const Order b({5000}, {1}, "random", 2, 8);
  EXPECT_NE(rows(a, 64), rows(b, 64));
}

TEST(Order, GoldenRows) {
  // Held so that a checkpoint's data position keeps its meaning from version to version.
  const Order order({50, 20000}, {1, 3}, "random", 1, 4);
  const auto all = rows(order, 8);
  std::string text;
  for (const auto& row : all)
    text += std::to_string(row.source) + ":" + std::to_string(row.sample) + " ";
  EXPECT_EQ(text, "1:1693 1:14012 0:25 1:11007 0:3 1:4974 1:17143 1:12883 ");
}

/// papers/data_boom.md §7.3: key4(seed, 2 + (source << 8), epoch, bag 0), the whole source's bag.
TEST(Order, SamplesComeByThePublishedKeys) {
  const std::vector<std::int64_t> sizes{50, 20000, 300};
  const Order order(sizes, {1, 3, 2}, "spread", 9, 4);
  std::vector<std::int64_t> taken(sizes.size(), 0);
  for (const auto& row : rows(order, 3000)) {
    const auto size = sizes[row.source];
    const std::int64_t rank = taken[row.source]++;
    ASSERT_EQ(row.epoch, rank / size);
    const auto key = key4(9, 2 + (row.source << 8U), static_cast<std::uint64_t>(row.epoch), 0);
    const Permutation permutation(static_cast<std::uint64_t>(size), key);
    ASSERT_EQ(row.sample,
              static_cast<std::int64_t>(permutation.at(static_cast<std::uint64_t>(rank % size))));
  }
}

TEST(Order, Refusals) {
  const auto refusal = [](const std::vector<std::int64_t>& samples,
                          const std::vector<double>& weights, const char* order) -> std::string {
    try {
      Order made(samples, weights, order, 1, 4);
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal({}, {}, "random"), HasSubstr("got 0 sources"));
  EXPECT_THAT(refusal({5}, {1, 2}, "random"), HasSubstr("2 weights"));
  EXPECT_THAT(refusal({0}, {1}, "random"), HasSubstr("data.sources[0]: got 0 samples"));
  EXPECT_THAT(refusal({5}, {0}, "random"), HasSubstr("weight 0"));
  EXPECT_THAT(refusal({5}, {1}, "sorted"),
              HasSubstr("data.order: got sorted, want random or spread"));
}

}  // namespace
}  // namespace rw::data
