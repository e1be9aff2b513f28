// Part of Ropewalk, MIT licence.
#include "planner/bounds.h"

#include <gtest/gtest.h>

namespace rw::planner {
namespace {

/// Six nodes alike; 0 and 1 are near each other, all others a second apart.
Problem six_nodes() {
  core::Json json = core::Json::parse(R"({
    "format": "ropewalk-problem/1", "nodes": [], "transfer_s": [],
    "backward_factor": 1.5, "loss_factor": 0.25, "gap_s": 0.13, "gap_first_forward_s": 0.09,
    "stage_sizes": [2, 2, 2], "path_length": 2, "micro_batches_per_source": 6,
    "rules": {"max_swaps": 0, "max_jump": 2, "stage_quota": 12}})");
  for (int i = 0; i < 6; ++i) {
    json["nodes"].push_back({{"forward_s", 2}, {"memory_micro_batches", 3}});
    core::Json row = core::Json::array();
    for (int j = 0; j < 6; ++j) row.push_back(i == j ? 0.0 : i + j == 1 ? 0.5 : 1.0);
    json["transfer_s"].push_back(row);
  }
  return problem_from_json(json, "p");
}

TEST(Bounds, ShortestTripByHand) {
  const Problem p = six_nodes();
  const auto trips = shortest_trips(p, nullptr);
  // 2 nodes * 2.5 * 2, the loss, four ways.
  EXPECT_DOUBLE_EQ(trips[0], 10 + 0.5 + 4 * 0.5);
  EXPECT_DOUBLE_EQ(trips[5], 10 + 0.5 + 4 * 1.0);
  // With 0 and 1 both sources, nobody is near.
  const Arrangement arrangement({{0, 1}, {2, 3}, {4, 5}});
  EXPECT_DOUBLE_EQ(shortest_trips(p, &arrangement)[0], 14.5);
}

TEST(Bounds, SourceBoundIsTheNotesFormula) {
  const Problem p = six_nodes();
  // papers/skippipe.md §10: 2 R + (M - 1)(2.5 c + g0) + M g, here with R of the second best source.
  const Arrangement near({{0, 2}, {1, 3}, {4, 5}});
  EXPECT_NEAR(lower_bound(p, &near), 2 * 14.5 + 2 * (5 + 0.09) + 3 * 0.13, 1e-9);
  // Any arrangement: two sources are needed, the best two have R = 12.5.
  EXPECT_NEAR(lower_bound(p, nullptr), 2 * 12.5 + 2 * (5 + 0.09) + 3 * 0.13, 1e-9);
}

TEST(Bounds, SlowNodesBehindTheSourcesCount) {
  Problem p = six_nodes();
  for (int i = 2; i < 6; ++i) p.nodes[static_cast<std::size_t>(i)].forward_s = 20;
  const Arrangement arrangement({{0, 1}, {2, 3}, {4, 5}});
  // 12 micro-batches on four nodes: three each, 3 (2.5 * 20 + 2 * 0.13) - 0.13 of work there, after
  // a forward of 2 and a way of 1, before a way of 1 and a backward of 3.
  const double load = 3 + 3 * (50 + 0.26) - 0.13 + 4;
  EXPECT_NEAR(lower_bound(p, &arrangement), std::max(load, 2 * (55.5 + 4) + 2 * 5.09 + 0.39), 1e-6);
}

}  // namespace
}  // namespace rw::planner
