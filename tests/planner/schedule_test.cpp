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

TEST(Schedule, AJobOnANewPathTakesTheTurnsThatItsTransfersAllow) {
  // As shared_node, with a node 3 beside node 2, near source 0, from which node 2 is far.
  const Problem p = problem_from_json(Json::parse(R"({
    "format": "ropewalk-problem/1",
    "nodes": [{"forward_s": 1, "memory_micro_batches": 2}, {"forward_s": 1, "memory_micro_batches": 2},
              {"forward_s": 1, "memory_micro_batches": 2}, {"forward_s": 1, "memory_micro_batches": 2}],
    "transfer_s": [[0, 1, 5, 1], [1, 0, 3, 1], [5, 3, 0, 1], [1, 1, 1, 0]],
    "backward_factor": 2, "loss_factor": 0, "gap_s": 0, "gap_first_forward_s": 0,
    "stage_sizes": [2, 2], "path_length": 2, "micro_batches_per_source": 1,
    "rules": {"max_swaps": 0, "max_jump": 1, "stage_quota": 2}, "arrangement": [[0, 1], [2, 3]]})"),
                                      "p");
  const Draft near{Arrangement(p.arrangement), {{0, 3}, {1, 2}}, {0, 0, 1, 1, 0, 0, 0, 1, 1, 1}};
  for (const bool again : {false, true}) {
    Schedule schedule(p, Track::kFree, near, 0);
    EXPECT_EQ(schedule.starts(0), (List<double>{0, 2, 4, 5, 8}));
    EXPECT_EQ(schedule.starts(1), (List<double>{0, 4, 8, 11, 16}));
    schedule.set_node(0, 1, 2);
    if (again) schedule.reinsert(false);
    EXPECT_DOUBLE_EQ(schedule.evaluate(Schedule::kNever), 26);
    schedule.keep();
    // Job 0 comes to node 2 at 6; with its old turn job 1, there since 4, lets it go first.
    EXPECT_EQ(schedule.starts(0), (List<double>{0, 6, 12, 17, 24}));
    EXPECT_EQ(schedule.starts(1)[1], again ? 4 : 7);
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

TEST(Schedule, WhatChangesNothingKeepsCostAndGoal) {
  for (const int micro_batches :
       {15, 16}) {  // 75 and 80 operations: 80 is a multiple of the stride
    Json json = Json::parse(R"({
      "format": "ropewalk-problem/1",
      "nodes": [{"forward_s": 1, "memory_micro_batches": 2}, {"forward_s": 1, "memory_micro_batches": 2}],
      "transfer_s": [[0, 1], [1, 0]],
      "backward_factor": 2, "loss_factor": 0.5, "gap_s": 0, "gap_first_forward_s": 0,
      "stage_sizes": [1, 1], "path_length": 2, "micro_batches_per_source": 1,
      "rules": {"max_swaps": 0, "max_jump": 1, "stage_quota": 16}, "arrangement": [[0], [1]]})");
    json["micro_batches_per_source"] = micro_batches;
    const Problem p = problem_from_json(json, "p");
    Draft draft{Arrangement(p.arrangement), {}, {}};
    for (int i = 0; i < micro_batches; ++i) draft.paths.push_back({0, 1});
    Schedule schedule(p, Track::kFree, draft, 0.05);
    const double cost = schedule.cost();
    const double goal = schedule.goal();
    EXPECT_GT(goal, 5.0 * micro_batches);
    EXPECT_DOUBLE_EQ(schedule.evaluate(Schedule::kNever), cost) << micro_batches;
    schedule.keep();
    EXPECT_DOUBLE_EQ(schedule.cost(), cost) << micro_batches;
    EXPECT_DOUBLE_EQ(schedule.goal(), goal) << micro_batches;
  }
}

TEST(Schedule, WeightGradientsFillIdleTime) {
  Problem p = shared_node(2);
  p.backward_factor = 1;
  p.weight_factor = 1;
  const Schedule schedule(p, Track::kFree, draft(p, {0, 0, 1, 1, 0, 0, 0, 1, 1, 1}), 0);
  // Job 0: F 0-1, F 2-3, loss 4, B 5-6 on node 2, B 7-8; W 6-7 while node 2 waits for 11, W 8-9.
  EXPECT_EQ(schedule.starts(0), (List<double>{0, 2, 4, 5, 7}));
  EXPECT_EQ(schedule.starts(1), (List<double>{0, 4, 8, 11, 15}));
  EXPECT_EQ(schedule.weight_starts(), (List<double>{0, 0, 0, 6, 8, 0, 0, 0, 12, 16}));
  EXPECT_DOUBLE_EQ(schedule.makespan(), 17);
  EXPECT_DOUBLE_EQ(schedule.cost(), 17);
}

TEST(Schedule, AWeightGradientRunsWhereMemoryWantsIt) {
  Problem p = shared_node(1);
  p.backward_factor = 1;
  p.weight_factor = 1;
  // Job 1 has been at node 2 since 4; there is room when W of job 0 is over, B 5-6 and W 6-7.
  const Schedule schedule(p, Track::kFree, draft(p, {0, 0, 1, 1, 0, 0, 0, 1, 1, 1}), 0);
  EXPECT_EQ(schedule.starts(1), (List<double>{0, 7, 11, 14, 18}));
  EXPECT_EQ(schedule.weight_starts()[3], 6);
  EXPECT_DOUBLE_EQ(schedule.makespan(), 20);
}

TEST(Schedule, AnUrgentWeightGradientDelaysWhatFollows) {
  Problem p = shared_node(2);
  p.backward_factor = 1;
  p.weight_factor = 1;
  Draft order = draft(p, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1});
  const Schedule lazy(p, Track::kFree, order, 0);
  // The forward of job 1 goes before W of job 0: both could begin at 6.
  EXPECT_EQ(lazy.starts(1)[1], 6);
  EXPECT_EQ(lazy.weight_starts()[3], 7);
  order.urgent = filled(10, std::uint8_t{0});
  order.urgent[6] = 1;
  const Schedule urgent(p, Track::kFree, order, 0);
  EXPECT_EQ(urgent.starts(1)[1], 7);
  EXPECT_EQ(urgent.weight_starts()[3], 6);
  EXPECT_DOUBLE_EQ(urgent.makespan(), lazy.makespan() + 1);
}

TEST(Schedule, TransfersTakeTurnsOnANic) {
  Problem p = shared_node(2);
  p.contention = Contention::kSerial;
  const Schedule schedule(p, Track::kFree, draft(p, {0, 0, 1, 1, 0, 0, 0, 1, 1, 1}), 0);
  // Into node 2 from both sources at 1: job 0 until 2, job 1 from there until 5, job 0 again from 5.
  // Out of node 2: job 1 from 6 to 9, job 0 (B ends at 8) from there.
  EXPECT_EQ(schedule.starts(0), (List<double>{0, 2, 4, 6, 10}));
  EXPECT_EQ(schedule.starts(1), (List<double>{0, 5, 9, 12, 17}));
  EXPECT_DOUBLE_EQ(schedule.makespan(), 19);
  EXPECT_DOUBLE_EQ(schedule.cost(), 19);
}

TEST(Schedule, TransfersShareANic) {
  Problem p = shared_node(2);
  p.contention = Contention::kFair;
  const Schedule schedule(p, Track::kFree, draft(p, {0, 0, 1, 1, 0, 0, 0, 1, 1, 1}), 0);
  // Into node 2 from both sources at 1, half the rate each: job 0 until 3, job 1 until 5. Out of node
  // 2: job 1 from 6 alone, from 8 on with job 0, both a second to go: until 10.
  EXPECT_EQ(schedule.starts(0), (List<double>{0, 3, 5, 6, 10}));
  EXPECT_EQ(schedule.starts(1), (List<double>{0, 5, 10, 13, 18}));
  EXPECT_DOUBLE_EQ(schedule.makespan(), 20);
}

TEST(Schedule, EveryChangeIsPricedAsFromScratchAndUndoneWhole) {
  // Saved states, early ends and undoing must not show: a schedule made anew is the judge.
  test::RandomProblems plain(3, {});
  test::RandomProblems extended(4, {.may_be_extended = true});
  constexpr double kWeight = 0.05;
  int kept = 0, reverted = 0, early = 0, hopeless = 0, mistaken = 0;
  for (int round = 0; round < 60; ++round) {
    const Problem p = problem_from_json(round < 30 ? plain.next() : extended.next(), "p");
    const bool strict =
        round % 3 == 0 && strict_refusal(p).empty() && !shared_stages(p, Track::kStrict).empty();
    const Track track = strict ? Track::kStrict : Track::kFree;
    Dice dice(7, static_cast<std::uint32_t>(round));
    Schedule schedule(p, track, seed_paths(p, track, seed_arrangement(p, track, dice, 100, 20)),
                      kWeight);
    Moves moves(schedule, dice, p.arrangement.empty() ? Placement::kOpen : Placement::kFixed);
    for (int i = 0; i < 300; ++i) {
      if (!moves.propose()) continue;
      const double limit = schedule.cost() * (1 + 0.1 * dice.uniform());
      const bool given_up = schedule.hopeless(limit);
      const double whole = schedule.evaluate(Schedule::kNever);
      hopeless += given_up;
      mistaken += given_up && whole <= limit;
      const double cost = schedule.evaluate(limit);
      ASSERT_EQ(cost > limit, whole > limit + 1e-9 * limit)
          << cost << " for " << whole << ", limit " << limit << ", problem " << round;
      early += cost > limit && cost < whole;
      if (cost > limit) {
        const Draft before = schedule.draft();
        schedule.revert();
        EXPECT_EQ(schedule.draft().order, before.order);
        EXPECT_EQ(schedule.draft().urgent, before.urgent);
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
      double mean = 0;
      for (int job = 0; job < anew.jobs(); ++job) {
        const int last = (job + 1) * anew.operations_per_job() - 1;
        mean +=
            (anew.starts(job).back() + p.backward_factor * p.nodes[anew.node_of(last)].forward_s) /
            anew.jobs();
      }
      ASSERT_NEAR(anew.cost(), anew.objective() + kWeight * mean, 1e-9);
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
  EXPECT_GT(early, 300);
  EXPECT_GT(hopeless, 80);
  EXPECT_LT(mistaken, hopeless / 20);  // an estimate: of small problems memory is full
}

}  // namespace
}  // namespace rw::planner
