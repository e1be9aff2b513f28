// Part of Ropewalk, MIT licence.
// What problems say beyond the plain rules: loss_at, split_backward, contention, full_every, rotation.
#include <gtest/gtest.h>

#include <iostream>

#include "core/error.h"
#include "planner/cases.h"
#include "planner/optima.h"
#include "planner/planner.h"
#include "planner/random_problem.h"
#include "support/sanitized.h"

namespace rw::planner {
namespace {

using core::Json;

Solution solve(const Problem& problem, std::int64_t evaluations, Track track = Track::kFree) {
  PlanOptions options;
  options.track = track;
  options.limits.evaluations = evaluations;
  return plan(problem, options);
}

/// A source and a node behind it, one micro-batch at a time.
Json small_problem() {
  return Json::parse(R"({
    "format": "ropewalk-problem/1",
    "nodes": [{"forward_s": 1, "memory_micro_batches": 1}, {"forward_s": 1, "memory_micro_batches": 1}],
    "transfer_s": [[0, 0.5], [0.25, 0]],
    "backward_factor": 2, "loss_factor": 0.5, "gap_s": 0.125, "gap_first_forward_s": 0.0625,
    "stage_sizes": [1, 1], "path_length": 2, "micro_batches_per_source": 2,
    "rules": {"max_swaps": 0, "max_jump": 1, "stage_quota": 2}, "arrangement": [[0], [1]]})");
}

TEST(Extensions, SplitBackwardByHand) {
  Json json = small_problem();
  json["split_backward"] = {{"input_factor", 1}, {"weight_factor", 1}};
  const Solution solution = solve(problem_from_json(json, "p"), 1000);
  // F0 0-1, F1 1.5-2.5, loss 2.75-3.25, B1 3.75-4.75, W1 4.875-5.875, B0 5-6, W0 6.125-7.125: its end
  // frees the source's memory.
  const auto& batches = solution.micro_batches;
  const auto& first = batches[0].starts[0] == 0 ? batches[0] : batches[1];
  EXPECT_EQ(first.starts, (List<double>{0, 1.5, 2.75, 3.75, 5}));
  EXPECT_EQ(first.weight_starts, (List<double>{6.125, 4.875}));
  EXPECT_DOUBLE_EQ(solution.makespan_s, 7.25 + 7.125);
  EXPECT_DOUBLE_EQ(solution.lower_bound_s, 14.375);
}

TEST(Extensions, ContentionNeverHelpsAndFairBoundsNothingBelow) {
  // The same list is no faster with contention: what none is priced at is a bound for both.
  test::RandomProblems problems(51, {});
  for (int i = 0; i < 20; ++i) {
    Json json = problems.next();
    if (json.contains("reduce")) json["objective"] = "iteration";
    const Problem problem = problem_from_json(json, "p");
    const Solution none = solve(problem, 500);
    const Draft draft = draft_of(problem, none);
    const Schedule without(problem, Track::kFree, draft, 0);
    for (const char* kind : {"fair", "serial"}) {
      json["contention"] = kind;
      const Problem shared = problem_from_json(json, "p");
      const Schedule with(shared, Track::kFree, draft, 0);
      EXPECT_GE(with.makespan(), without.makespan() - 1e-9);
    }
  }
}

TEST(Extensions, RandomProblemsAreSoundOnBothTracks) {
  test::RandomProblems problems(61, {.may_be_extended = true});
  test::Cases cases("ropewalk_planner_extended");
  for (int i = 0; i < test::sanitized_or(80, 400); ++i) {
    Json json = problems.next();
    if (json.contains("reduce")) json["reduce"].erase("max_reduce_s");
    const Problem problem = problem_from_json(json, "p");
    const bool strict = i % 3 == 0 && strict_refusal(problem).empty();
    const Track track = strict ? Track::kStrict : Track::kFree;
    cases.add(json, solve(problem, 200, track), track);
  }
  EXPECT_EQ(cases.check(), cases.sound());
}

TEST(Extensions, SolutionsComeBackFromTheirFilesWithTheSameTimes) {
  test::RandomProblems problems(71, {.may_be_extended = true});
  for (int i = 0; i < 40; ++i) {
    Json json = problems.next();
    if (json.contains("reduce")) json["reduce"].erase("max_reduce_s");
    const Problem problem = problem_from_json(json, "p");
    const Solution solution = solve(problem, 500);
    const Solution back = solution_from_json(Json::parse(to_json(solution).dump()), problem, "s");
    const Schedule schedule(problem, Track::kFree, draft_of(problem, back), 0);
    EXPECT_NEAR(schedule.makespan(), solution.makespan_s, 1e-9) << json.dump();
    EXPECT_NEAR(schedule.iteration(), solution.iteration_s, 1e-9);
  }
}

TEST(Extensions, OptimumOfSmallProblems) {
  test::RandomProblems problems(81, {.max_nodes = 4,
                                     .max_stages = 3,
                                     .max_per_source = 3,
                                     .max_operations = 15,
                                     .may_be_extended = true});
  test::Optima optima("ropewalk_planner_small_extended");
  while (optima.solved() < test::sanitized_or(20, 100)) {
    Json json = problems.next();
    if (json.contains("reduce")) json["reduce"].erase("max_reduce_s");
    const Problem problem = problem_from_json(json, "p");
    if (!problem.weight_factor && problem.contention == Contention::kNone) continue;
    optima.add(json);
  }
  optima.check();
}

TEST(Extensions, TurnsOfARotationLetEverySourceVisitEveryStage) {
  test::RandomProblems problems(91, {.max_stages = 4, .may_be_extended = true});
  test::Cases cases("ropewalk_planner_rotation");
  int planned = 0, refused = 0, unlike = 0;
  constexpr int kProblems = test::sanitized_or(30, 100);
  while (planned < kProblems) {
    Json json = problems.next();
    if (json["path_length"] == 1) continue;
    if (json.contains("reduce")) json["reduce"].erase("max_reduce_s");
    json["rotation"] = 1 + (planned + refused) % 3;
    if (planned % 2 == 0) json["full_every"] = 1 + planned % 5;
    try {
      const Problem problem = problem_from_json(json, "p");
      const bool strict = planned % 3 == 0 && strict_refusal(problem).empty();
      const Track track = strict ? Track::kStrict : Track::kFree;
      const Solution solution = solve(problem, 1500, track);
      EXPECT_EQ(solution.rotations.count(), problem.rotation - 1);
      EXPECT_EQ(solution.visits.count(), problem.sources());
      EXPECT_LE(solution.evaluations, 1500 + 2 * problem.rotation);
      for (const auto& turn : solution.rotations) {
        for (int i = 0; i < problem.micro_batches(); ++i) {
          if (turn.micro_batches[i].path != solution.micro_batches[i].path) ++unlike;
        }
      }
      cases.add(json, solution, track);
      ++planned;
    } catch (const core::Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_NE(std::string(error.what()).find("rotation"), std::string::npos) << error.what();
      ++refused;
    }
  }
  std::cout << refused << " refused\n";
  EXPECT_GT(refused, kProblems / 20);
  EXPECT_LT(refused, kProblems);
  EXPECT_GT(unlike, kProblems);
  EXPECT_EQ(cases.check(), cases.sound());
}

TEST(Extensions, VisitsAreSharedOutEvenlyWhereTimesAreAlike) {
  // Two sources, two stages of two nodes behind them, all alike; each micro-batch visits one stage.
  Json json = small_problem();
  json["nodes"] = json["transfer_s"] = Json::array();
  for (int i = 0; i < 6; ++i) {
    json["nodes"].push_back({{"forward_s", 1}, {"memory_micro_batches", 2}});
    Json row = Json::array();
    for (int j = 0; j < 6; ++j) row.push_back(i == j ? 0.0 : 0.5);
    json["transfer_s"].push_back(row);
  }
  json["stage_sizes"] = {2, 2, 2};
  json["arrangement"] = {{0, 1}, {2, 3}, {4, 5}};
  json["rules"] = {{"max_swaps", 0}, {"max_jump", 2}, {"stage_quota", 2}};
  json["rotation"] = 2;
  const Solution solution = solve(problem_from_json(json, "p"), 4000);
  EXPECT_EQ(solution.visits, (List<List<int>>{{2, 2}, {2, 2}}));
}

TEST(Extensions, FullIterationsVisitAllStagesAndArePricedInTheMean) {
  Json json = small_problem();
  json["path_length"] =
      1;  // skips: the source alone, (1 + 0.0625) + (0.5 + 0.125) + (2 + 0.125) each
  json["full_every"] = 4;
  const Solution solution = solve(problem_from_json(json, "p"), 1000);
  EXPECT_DOUBLE_EQ(solution.makespan_s, 2 * 3.8125 - 0.125);
  ASSERT_TRUE(solution.full.has_value());
  EXPECT_EQ(solution.full->micro_batches[0].path, (List<int>{0, 1}));
  EXPECT_DOUBLE_EQ(solution.full->makespan_s, 16.125);  // Planner.OneMicroBatchAtATimeByHand
  EXPECT_DOUBLE_EQ(solution.full->lower_bound_s, 16.125);
  EXPECT_DOUBLE_EQ(solution.mean_s, (3 * 7.5 + 16.125) / 4);
  json["micro_batches_per_source"] = json["rules"]["stage_quota"] = 15000;
  try {
    problem_from_json(json, "p");
    ADD_FAILURE() << "accepted";
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("full_every"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace rw::planner
