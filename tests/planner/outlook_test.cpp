// Part of Ropewalk, MIT licence.
#include "planner/outlook.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "planner/bounds.h"
#include "planner/seeds.h"
#include "random_problem.h"

namespace rw::planner {
namespace {

/// Two clusters of six nodes, a second between them and a hundredth inside; a reduction costs what a group's
/// slowest member pays to its peers.
Problem clusters(int micro_batches, double cap) {
  core::Json json = core::Json::parse(R"({
    "format": "ropewalk-problem/1", "nodes": [], "transfer_s": [],
    "backward_factor": 2, "loss_factor": 0.5, "gap_s": 0, "gap_first_forward_s": 0,
    "stage_sizes": [4, 4, 4], "path_length": 3,
    "rules": {"max_swaps": 0, "max_jump": 2, "stage_quota": 64},
    "reduce": {"gradient_bytes": 4, "latency_s": [], "bandwidth_bytes_per_s": []}})");
  json["micro_batches_per_source"] = micro_batches;
  json["reduce"]["max_reduce_s"] = cap;
  for (int i = 0; i < 12; ++i) {
    json["nodes"].push_back({{"forward_s", 1}, {"memory_micro_batches", 2}});
    core::Json way = core::Json::array(), wide = core::Json::array(), none = core::Json::array();
    for (int j = 0; j < 12; ++j) {
      const bool near = i / 6 == j / 6;
      way.push_back(i == j ? 0.0 : near ? 0.01 : 1.0);
      wide.push_back(near ? 4.0 : 1.0);
      none.push_back(0.0);
    }
    json["transfer_s"].push_back(way);
    json["reduce"]["bandwidth_bytes_per_s"].push_back(wide);
    json["reduce"]["latency_s"].push_back(none);
  }
  return problem_from_json(json, "clusters");
}

TEST(Outlook, IsTheShortestTripWhereNothingIsCrowded) {
  const Problem p = clusters(2, 100);
  // Both clusters have two nodes of every stage.
  const Arrangement even({{0, 1, 6, 7}, {2, 3, 8, 9}, {4, 5, 10, 11}});
  Outlook outlook(p);
  EXPECT_NEAR(outlook.trip(even, 40), 3 * 3 + 0.5 + 6 * 0.01, 1e-9);
  // A stage is far from every source: out and back.
  const Arrangement far({{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}});
  EXPECT_GT(Outlook(p).trip(far, 40), 3 * 3 + 0.5 + 4 * 1.0 - 0.05);
}

/// Prices are a relaxation: paths that visit no node more often than it has room for have a mean trip of at least
/// the outlook's mean. Here the worst source does not lift the outlook above that either.
TEST(Outlook, IsNoMoreThanTheTripOfEvenVisits) {
  const Problem p = clusters(4, 100);
  // One cluster has one node of stage 1, the other has three.
  const Arrangement uneven({{0, 1, 6, 7}, {2, 8, 9, 10}, {3, 4, 5, 11}});
  // All 16 micro-batches by turns over the nodes of a stage: visits are even, 4 a node.
  double sum = 0;
  const auto hop = [&](int a, int b) { return p.transfer_s.at(a, b) + p.transfer_s.at(b, a); };
  for (int i = 0; i < 16; ++i) {
    const int source = uneven.group(0)[i / 4];
    const int first = uneven.group(1)[i % 4], second = uneven.group(2)[i / 4];
    sum += 9.5 + hop(source, first) + hop(first, second) + hop(second, source);
  }
  const double trip = Outlook(p).trip(uneven, 200);
  double least = 0;
  const auto trips = shortest_trips(p, &uneven);
  for (const int source : uneven.group(0)) least += trips[source] / 4;
  EXPECT_LE(trip, sum / 16);
  EXPECT_GT(trip, least + 0.05);  // node 2 has its price
}

TEST(Outlook, SpreadsStagesOverBothClusters) {
  const Problem p = clusters(4, 1e9);
  const List<char> any(p.nodes.size(), 1);
  Dice dice(1, 0);
  Arrangement arrangement({{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}});
  improve_outlook(p, any, dice, 2000, arrangement);
  EXPECT_NEAR(Outlook(p).trip(arrangement, 100), 9.56, 0.05);
  for (const auto& group : arrangement.members()) {
    EXPECT_EQ(std::count_if(group.begin(), group.end(), [](int node) { return node < 6; }), 2);
  }
}

TEST(Outlook, KeepsSizesSourcesAndTheCapOfRandomProblems) {
  test::ProblemRange range;
  range.may_be_extended = true;
  test::RandomProblems problems(5, range);
  int changed = 0;
  for (int i = 0; i < 300; ++i) {
    const Problem p = problem_from_json(problems.next(), "p");
    if (p.path_length < 2 || !p.arrangement.empty()) continue;
    Dice dice(7, 0);
    const Arrangement before = seed_arrangement(p, Track::kFree, dice, 100, 0);
    List<char> may(p.nodes.size(), 0);
    for (const int source : before.group(0)) may[source] = 1;
    Arrangement after = before;
    improve_outlook(p, may, dice, 50, after);
    double was = 0, is = 0;
    for (int stage = 0; stage < p.stages(); ++stage) {
      ASSERT_EQ(after.group(stage).count(), p.stage_sizes[stage]);
      was = std::max(was, reduction_s(p.reduction, before.group(stage)));
      is = std::max(is, reduction_s(p.reduction, after.group(stage)));
    }
    for (const int source : after.group(0)) EXPECT_EQ(may[source], 1);
    if (p.objective == Objective::kMakespan) {
      EXPECT_LE(is, std::max(was, p.reduction.max_s));
    }
    changed += after.members() != before.members() ? 1 : 0;
  }
  EXPECT_GT(changed, 50);
}

}  // namespace
}  // namespace rw::planner
