// Part of Ropewalk, MIT licence.
// A cap that a known arrangement keeps is kept by what is planned; one that none can keep is said to be so.
#include "planner/under_cap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "planner/planner.h"
#include "planner/seeds.h"

namespace rw::planner {
namespace {

using ::testing::HasSubstr;

/// Regions with slow links between them, drawn at random, and stages that a shuffled list of the nodes cuts
/// across: the arrangement that is known has no structure that a search could guess.
struct TwoTiers {
  Problem problem;
  double known = 0;  // what its slowest stage takes

  TwoTiers(unsigned seed, const std::vector<int>& sizes, int regions) {
    std::mt19937 random(seed);
    const auto real = [&](double low, double high) {
      return std::uniform_real_distribution(low, high)(random);
    };
    const int nodes = std::accumulate(sizes.begin(), sizes.end(), 0);
    core::Json json = core::Json::parse(R"({
      "format": "ropewalk-problem/1", "nodes": [], "transfer_s": [], "backward_factor": 2,
      "loss_factor": 0.5, "gap_s": 0, "gap_first_forward_s": 0, "path_length": 3,
      "micro_batches_per_source": 2, "rules": {"max_swaps": 0, "max_jump": 9, "stage_quota": 99},
      "reduce": {"gradient_bytes": 1e9, "latency_s": [], "bandwidth_bytes_per_s": [],
                 "max_reduce_s": 1e5}})");
    json["stage_sizes"] = sizes;
    std::vector<int> order(static_cast<std::size_t>(nodes));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<int> stage(order.size());
    for (std::size_t s = 0, next = 0; s < sizes.size(); ++s) {
      for (int k = 0; k < sizes[s]; ++k) stage[static_cast<std::size_t>(order[next++])] = int(s);
    }
    std::vector<std::vector<double>> rate(order.size(), std::vector<double>(order.size(), 0));
    for (std::size_t a = 0; a < order.size(); ++a) {
      json["nodes"].push_back({{"forward_s", 1}, {"memory_micro_batches", 2}});
      for (std::size_t b = 0; b < a; ++b) {
        const bool together = stage[a] == stage[b];
        const bool near =
            a % static_cast<std::size_t>(regions) == b % static_cast<std::size_t>(regions);
        rate[a][b] = rate[b][a] = (near ? real(5e8, 2e9) : real(1e7, 4e8)) * (together ? 3 : 1);
      }
    }
    for (std::size_t a = 0; a < order.size(); ++a) {
      rate[a][a] = 1e9;
      json["transfer_s"].push_back(std::vector<double>(order.size(), 0.1));
      json["reduce"]["latency_s"].push_back(std::vector<double>(order.size(), 0.01));
      json["reduce"]["bandwidth_bytes_per_s"].push_back(rate[a]);
    }
    problem = problem_from_json(json, "two_tiers");
    List<List<int>> groups(sizes.size());
    for (int node = 0; node < nodes; ++node)
      groups[stage[static_cast<std::size_t>(node)]].push_back(node);
    known = largest_reduction(problem, Arrangement(groups));
  }
};

TEST(UnderCap, WhatAKnownArrangementKeepsIsFound) {
  const std::vector<std::vector<int>> shapes{
      {6, 6, 6, 6, 6, 6, 6}, {10, 10, 10, 10}, {9, 7, 7, 7, 7, 7}, {8, 8, 8, 8, 8, 8, 8, 8}};
  unsigned seed = 1;
  for (const auto& sizes : shapes) {
    TwoTiers made(++seed, sizes, 5);
    made.problem.reduction.max_s = 1.03 * made.known;
    PlanOptions options;
    options.limits.evaluations = 2'000'000;
    options.seed = seed;
    const Solution found = plan(made.problem, options);
    EXPECT_LE(found.reduce_s, made.problem.reduction.max_s + kTolerance) << made.problem.size();
  }
}

TEST(UnderCap, ASearchIsAFunctionOfItsDice) {
  TwoTiers made(9, {6, 6, 6, 6}, 3);
  made.problem.reduction.max_s = 1.03 * made.known;
  const auto sources = could_be_sources(made.problem, Track::kFree);
  const auto steps = [&](unsigned seed) {
    CapSearch search(made.problem, sources, sources, Dice(seed, 0));
    int out = 1;
    while (!search.go_on()) ++out;
    EXPECT_TRUE(keeps_cap(made.problem, search.best()));
    EXPECT_EQ(search.best_reduction(), largest_reduction(made.problem, search.best()));
    return out;
  };
  EXPECT_EQ(steps(1), steps(1));
}

std::string refusal(const Problem& problem) {
  PlanOptions options;
  options.limits.evaluations = 20'000;
  try {
    plan(problem, options);
  } catch (const core::Error& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kRecipe);
    return error.what();
  }
  return "";
}

TEST(UnderCap, WhatIsNotFoundMayBeThereAndWhatCannotBeIsProved) {
  TwoTiers made(4, {6, 6, 6, 6, 6}, 4);
  const double least = least_largest_reduction(made.problem);
  ASSERT_LT(least, made.known);
  made.problem.reduction.max_s = least + 2 * kTolerance;
  const std::string unknown = refusal(made.problem);
  EXPECT_THAT(unknown, HasSubstr("two_tiers.reduce.max_reduce_s: got a cap of"));
  EXPECT_THAT(unknown, HasSubstr("20000 evaluations found no arrangement"));
  EXPECT_THAT(unknown, HasSubstr("more time"));
  made.problem.reduction.max_s = least - 2 * kTolerance;
  EXPECT_THAT(refusal(made.problem), HasSubstr("it is proved that every arrangement has one of"));
}

TEST(UnderCap, TheProvedLeastIsNoMoreThanWhatArrangementsTake) {
  std::mt19937 random(3);
  for (unsigned seed = 0; seed < 20; ++seed) {
    const TwoTiers made(seed, seed % 2 == 0 ? std::vector{3, 2, 4} : std::vector{1, 4, 2, 2}, 3);
    const double least = least_largest_reduction(made.problem);
    std::vector<int> order(9);
    std::iota(order.begin(), order.end(), 0);
    for (int i = 0; i < 500; ++i) {
      std::shuffle(order.begin(), order.end(), random);
      List<List<int>> groups;
      auto next = order.begin();
      for (const int size : made.problem.stage_sizes) {
        groups.emplace_back(next, next + size);
        next += size;
      }
      ASSERT_LE(least, largest_reduction(made.problem, Arrangement(groups)) + 1e-9) << seed;
    }
  }
}

}  // namespace
}  // namespace rw::planner
