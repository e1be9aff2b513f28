// Part of Ropewalk, MIT licence.
#include "planner/bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "planner/source_order.h"

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

/// Every walk of L nodes from `source` that never returns there nor goes back and forth between two, and
/// on an arrangement moves between stages as the rules allow, one stage of slack included.
double least_trip(const Problem& p, const Arrangement* arrangement, List<int>& walk) {
  const int last = walk.back();
  const auto way = [&](int a, int b) { return p.transfer_s.at(a, b) + p.transfer_s.at(b, a); };
  if (walk.count() == p.path_length) {
    double out = way(last, walk.front()) + p.loss_factor * p.nodes[walk.front()].forward_s;
    for (int k = 0; k < walk.count(); ++k) {
      out += (1 + p.backward_factor) * p.nodes[walk[k]].forward_s;
      if (k > 0) out += way(walk[k - 1], walk[k]);
    }
    return out;
  }
  double best = std::numeric_limits<double>::infinity();
  for (int to = 0; to < p.size(); ++to) {
    if (to == walk.front() || to == last) continue;
    if (walk.count() > 1 && to == walk[walk.count() - 2]) continue;
    if (arrangement != nullptr) {
      const int a = arrangement->stage_of(last);
      const int b = arrangement->stage_of(to);
      const int slack = p.rules.max_swaps > 0 && a > 0 ? 1 : 0;
      if (b == 0 || b == a || b < a - slack || b - a > p.rules.max_jump + slack) continue;
    }
    walk.push_back(to);
    best = std::min(best, least_trip(p, arrangement, walk));
    walk.pop_back();
  }
  return best;
}

TEST(Bounds, ShortestTripsAreTheLeastOfAllWalks) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> seconds(0.01, 2);
  const Arrangement arrangement({{3}, {0, 5}, {2}, {1}, {4}});
  int found = 0;
  for (int round = 0; round < 60; ++round) {
    Problem p = six_nodes();
    p.path_length = 3 + round % 3;
    p.rules.max_swaps = round % 2;
    p.rules.max_jump = 1 + round % 4;
    for (int a = 0; a < 6; ++a) {
      p.nodes[a].forward_s = seconds(random);
      for (int b = 0; b < 6; ++b) p.transfer_s.at(a, b) = a == b ? 0 : seconds(random);
    }
    for (int source = 0; source < 6; ++source) {
      List<int> walk{source};
      EXPECT_NEAR(shortest_trips(p, nullptr)[source], least_trip(p, nullptr, walk), 1e-9) << round;
    }
    List<int> walk{3};
    const double least = least_trip(p, &arrangement, walk);
    if (std::isinf(least)) {
      EXPECT_TRUE(std::isinf(shortest_trips(p, &arrangement)[3])) << round;
    } else {
      ++found;
      EXPECT_NEAR(shortest_trips(p, &arrangement)[3], least, 1e-9) << round;
    }
  }
  EXPECT_GT(found, 30);
}

TEST(Bounds, SourceBoundIsTheNotesFormula) {
  const Problem p = six_nodes();
  // papers/skippipe.md §10: 2 R + (M - 1)(2.5 c + g0) + M g, here with R of the second best source;
  // what the source can do in any order says a little more.
  const Arrangement near({{0, 2}, {1, 3}, {4, 5}});
  EXPECT_GT(lower_bound(p, &near), 2 * 14.5 + 2 * (5 + 0.09) + 3 * 0.13);
  EXPECT_LT(lower_bound(p, &near), 2 * 14.5 + 2 * (5 + 0.09) + 3 * 0.13 + 1);
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

/// The same by trying every word of n F's, n L's and n B's.
double best_of_all_orders(const SourceWork& w) {
  const auto n = static_cast<std::size_t>(w.micro_batches);
  std::string word = std::string(n, 'B') + std::string(n, 'F') + std::string(n, 'L');
  double best = 1e300;
  do {
    std::vector<double> f, l, b;  // ends
    double free = 0;
    bool allowed = true;
    for (const char op : word) {
      if (op == 'F') {
        const std::size_t memory = static_cast<std::size_t>(w.memory);
        allowed = f.size() < memory || b.size() + memory > f.size();
        f.push_back(free + w.forward_s);
        free = f.back() + w.gap_forward_s;
      } else if (op == 'L') {
        allowed = l.size() < f.size();
        if (allowed) l.push_back(std::max(free, f[l.size()] + w.out_s) + w.loss_s);
        if (allowed) free = l.back() + w.gap_s;
      } else {
        allowed = b.size() < l.size();
        if (!allowed) break;
        const std::size_t j = b.size();
        const double end = std::max(free, l[j] + w.back_s) + w.backward_s;
        b.push_back(std::max(end, f[j] - w.forward_s + w.trip_s));
        free = b.back() + w.gap_s;
      }
      if (!allowed) break;
    }
    if (allowed) best = std::min(best, b.back());
  } while (std::next_permutation(word.begin(), word.end()));
  return best;
}

TEST(SourceOrder, IsTheBestOfAllOrders) {
  std::mt19937 random(3);
  const auto draw = [&](double most) { return most * static_cast<double>(random() % 1000) / 1000; };
  int above = 0;
  for (int i = 0; i < 120; ++i) {
    SourceWork w;
    w.micro_batches = 1 + static_cast<int>(random() % 4);
    w.memory = 1 + static_cast<int>(random() % 3);
    w.forward_s = 1 + draw(2);
    w.loss_s = draw(1);
    w.backward_s = 1 + draw(3);
    w.gap_forward_s = draw(0.3);
    w.gap_s = draw(0.3);
    w.out_s = draw(8);
    w.back_s = draw(8);
    w.trip_s = w.forward_s + w.out_s + w.loss_s + w.back_s + w.backward_s + draw(2);
    const double want = best_of_all_orders(w);
    EXPECT_NEAR(source_order_end(w, 0), want, 1e-9) << i;
    EXPECT_EQ(source_order_end(w, want + 1), want + 1);
    const double work =
        w.micro_batches * (w.forward_s + w.gap_forward_s + w.loss_s + w.backward_s + 2 * w.gap_s);
    above += want > std::max(w.trip_s, work) + 0.1 ? 1 : 0;
  }
  EXPECT_GT(above, 30);
}

TEST(SourceOrder, GivesTheFloorWhereItWouldTakeTooLong) {
  SourceWork w;
  w.micro_batches = 200;
  w.memory = 100;
  w.forward_s = w.loss_s = w.backward_s = 1;
  w.out_s = w.back_s = 30.3;
  w.trip_s = 63.6;
  EXPECT_EQ(source_order_end(w, 7), 7);
}

TEST(Bounds, ASourceNeedsTheTimeOfItsBestOrder) {
  Problem p = six_nodes();
  p.micro_batches_per_source = 4;
  for (planner::Node& node : p.nodes) node.memory = 2;
  p.nodes[0].forward_s = 4;
  const Arrangement arrangement({{0, 2}, {1, 3}, {4, 5}});
  SourceWork w;
  w.micro_batches = 4;
  w.memory = 2;
  w.forward_s = 4;
  w.loss_s = 1;
  w.backward_s = 6;
  w.gap_forward_s = 0.09;
  w.gap_s = 0.13;
  w.out_s = 0.5 + 2 + 0.5;  // by node 1, which is near
  w.back_s = 0.5 + 3 + 0.5;
  w.trip_s = 4 + 3 + 1 + 4 + 6;
  const double want = best_of_all_orders(w);
  EXPECT_GT(want, 4 * (2.75 * 4 + 0.35) - 0.13 + 1);  // more than its work
  EXPECT_NEAR(lower_bound(p, &arrangement), want, 1e-9);
}

}  // namespace
}  // namespace rw::planner
