// Part of Ropewalk, MIT licence.
#include "planner/schedule.h"

#include <gtest/gtest.h>

#include "planner/moves.h"
#include "planner/random_problem.h"
#include "planner/seeds.h"

namespace rw::planner {
namespace {

using core::Json;

/// Sources 0 and 1 share node 2. Unit forwards, backwards twice as long, no loss, no gaps.
Problem shared_node(int memory) {
  Json json = Json::parse(R"({
    "format": "ropewalk-problem/1",
    "nodes": [], "transfer_s": [[0, 1, 1], [1, 0, 3], [1, 3, 0]],
    "backward_factor": 2, "loss_factor": 0, "gap_s": 0, "gap_first_forward_s": 0,
    "stage_sizes": [2, 1], "path_length": 2, "micro_batches_per_source": 1,
    "rules": {"max_swaps": 0, "max_jump": 1, "stage_quota": 2}, "arrangement": [[0, 1], [2]]})");
  for (int i = 0; i < 3; ++i) {
    json["nodes"].push_back({{"forward_s", 1}, {"memory_micro_batches", memory}});
  }
  return problem_from_json(json, "p");
}

Draft draft(const Problem& p, List<std::uint16_t> order) {
  return {Arrangement(p.arrangement), {{0, 2}, {1, 2}}, std::move(order)};
}

TEST(Schedule, FirstComeFirstServedByHand) {
  const Problem p = shared_node(2);
  const Schedule schedule(p, Track::kFree, draft(p, {0, 0, 1, 1, 0, 0, 0, 1, 1, 1}), 0);
  // Job 0: F 0-1, way 1, F 2-3, way 1, loss at 4, way 1, B 5-7, way 1, B 8-10.
  EXPECT_EQ(schedule.starts(0), (List<double>{0, 2, 4, 5, 8}));
  // Job 1: F 0-1, way 3, F 4-5, way 3, loss at 8, way 3, B 11-13, way 3, B 16-18.
  EXPECT_EQ(schedule.starts(1), (List<double>{0, 4, 8, 11, 16}));
  EXPECT_DOUBLE_EQ(schedule.makespan(), 18);
  EXPECT_DOUBLE_EQ(schedule.iteration(), 18);
}

TEST(Schedule, ALongerWaitCanBePlanned) {
  const Problem p = shared_node(1);
  // Memory for one: whoever comes first keeps the other out until its backward.
  const Schedule near_first(p, Track::kFree, draft(p, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}), 0);
  EXPECT_DOUBLE_EQ(near_first.starts(1)[1], 7);
  EXPECT_DOUBLE_EQ(near_first.makespan(), 7 + 14);
  // The forward of job 0 could run at 2; the list holds it back for job 1.
  const Schedule far_first(p, Track::kFree, draft(p, {1, 1, 1, 1, 1, 0, 0, 0, 0, 0}), 0);
  EXPECT_DOUBLE_EQ(far_first.starts(1)[1], 4);
  EXPECT_DOUBLE_EQ(far_first.starts(0)[1], 13);
  EXPECT_DOUBLE_EQ(far_first.makespan(), 13 + 8);
}

TEST(Schedule, AForwardWithoutMemoryWaitsAside) {
  const Problem p = shared_node(1);
  // Job 1 is asked for all its operations while job 0 fills node 2.
  const Schedule schedule(p, Track::kFree, draft(p, {0, 0, 1, 1, 1, 1, 1, 0, 0, 0}), 0);
  EXPECT_EQ(schedule.starts(1), (List<double>{0, 7, 11, 14, 19}));
  // The kept list is the order in which they ran.
  for (int i = 1; i < schedule.operations(); ++i) {
    EXPECT_LE(schedule.at(i - 1).start, schedule.at(i).start);
  }
}

TEST(Schedule, ReductionsEndTheIteration) {
  Json json = Json::parse(R"({
    "format": "ropewalk-problem/1",
    "nodes": [{"forward_s": 1, "memory_micro_batches": 1}, {"forward_s": 1, "memory_micro_batches": 1},
              {"forward_s": 1, "memory_micro_batches": 1}],
    "transfer_s": [[0, 1, 1], [1, 0, 1], [1, 1, 0]],
    "backward_factor": 2, "loss_factor": 0, "gap_s": 0, "gap_first_forward_s": 0,
    "stage_sizes": [1, 2], "path_length": 2, "micro_batches_per_source": 1,
    "rules": {"max_swaps": 0, "max_jump": 1, "stage_quota": 1}, "arrangement": [[0], [1, 2]],
    "objective": "iteration",
    "reduce": {"latency_s": [[0, 0, 0], [0, 0, 5], [0, 5, 0]],
               "bandwidth_bytes_per_s": [[0, 1, 1], [1, 0, 1], [1, 1, 0]], "gradient_bytes": 4}})");
  const Problem p = problem_from_json(json, "p");
  const Schedule schedule(p, Track::kFree, {Arrangement(p.arrangement), {{0, 1}}, {}}, 0);
  // B on node 1 ends at 7, then 2 (5 + 4 / 2) = 14; B on the source at 10.
  EXPECT_DOUBLE_EQ(schedule.makespan(), 10);
  EXPECT_DOUBLE_EQ(schedule.iteration(), 21);
  EXPECT_DOUBLE_EQ(schedule.objective(), 21);
  EXPECT_DOUBLE_EQ(schedule.cost(), 21);
}

TEST(Schedule, EveryChangeIsPricedAsFromScratchAndUndoneWhole) {
  // Saved states, early ends and undoing must not show: a schedule made anew is the judge.
  test::RandomProblems problems(3, {});
  constexpr double kWeight = 0.05;
  int kept = 0, reverted = 0;
  for (int round = 0; round < 30; ++round) {
    const Problem p = problem_from_json(problems.next(), "p");
    const bool strict =
        round % 3 == 0 && strict_refusal(p).empty() && !shared_stages(p, Track::kStrict).empty();
    const Track track = strict ? Track::kStrict : Track::kFree;
    Dice dice(7, static_cast<std::uint32_t>(round));
    Schedule schedule(p, track, seed_paths(p, track, seed_arrangement(p, track, dice, 100)),
                      kWeight);
    Moves moves(schedule, dice, p.arrangement.empty() ? Placement::kOpen : Placement::kFixed);
    for (int i = 0; i < 300; ++i) {
      if (!moves.propose()) continue;
      const double limit = schedule.cost() * (1 + 0.1 * dice.uniform());
      const double cost = schedule.evaluate(limit);
      if (cost > limit) {
        const Draft before = schedule.draft();
        schedule.revert();
        EXPECT_EQ(schedule.draft().order, before.order);
        ++reverted;
      } else {
        schedule.keep();
        moves.kept();
        ++kept;
        EXPECT_NEAR(cost, schedule.cost(), 1e-9);
      }
      const Schedule anew(p, track, schedule.draft(), kWeight);
      ASSERT_NEAR(anew.cost(), schedule.cost(), 1e-9);
      ASSERT_NEAR(anew.objective(), schedule.objective(), 1e-9);
      ASSERT_NEAR(anew.max_reduction(), schedule.max_reduction(), 1e-12);
      for (int stage = 0; stage < p.stages(); ++stage) {
        ASSERT_EQ(anew.visits(stage), schedule.visits(stage));
      }
      for (int node = 0; node < p.size(); ++node) {
        ASSERT_EQ(anew.routed(node), schedule.routed(node));
      }
    }
  }
  EXPECT_GT(kept, 1000);
  EXPECT_GT(reverted, 300);
}

}  // namespace
}  // namespace rw::planner
