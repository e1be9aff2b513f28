// Part of Ropewalk, MIT licence.
// What problems say beyond the plain rules: loss_at, split_backward, contention, full_every, rotation.
#include <gtest/gtest.h>

#include <iostream>

#include "core/error.h"
#include "planner/bounds.h"
#include "planner/brute_force.h"
#include "planner/cases.h"
#include "planner/planner.h"
#include "planner/random_problem.h"

namespace rw::planner {
namespace {

using core::Json;

Solution solve(const Problem& problem, std::int64_t evaluations, Track track = Track::kFree) {
  PlanOptions options;
  options.track = track;
  options.limits.evaluations = evaluations;
  return plan(problem, options);
}

double reached_by(const Problem& problem, const Solution& solution) {
  return problem.objective == Objective::kIteration ? solution.iteration_s : solution.makespan_s;
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
  for (int i = 0; i < 400; ++i) {
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
  test::Cases cases("ropewalk_planner_small_extended");
  int solved = 0, met = 0, too_large = 0;
  double worst = 0;
  while (solved < 100) {
    Json json = problems.next();
    if (json.contains("reduce")) json["reduce"].erase("max_reduce_s");
    const Problem problem = problem_from_json(json, "p");
    if (!problem.weight_factor && problem.contention == Contention::kNone) continue;
    const Solution solution = solve(problem, 20000);
    const double reached = reached_by(problem, solution);
    const auto optimum = test::BruteForce(problem, reached + 1e-6, 400'000).solve();
    if (!optimum) {
      ++too_large;
      continue;
    }
    ++solved;
    cases.add(json, solution, Track::kFree);
    EXPECT_LE(solution.lower_bound_s, *optimum + 1e-6) << json.dump();
    const Arrangement arrangement(solution.arrangement);
    EXPECT_LE(lower_bound(problem, &arrangement), reached + 1e-6) << json.dump();
    if (reached <= *optimum * (1 + 1e-6) + 1e-6) ++met;
    worst = std::max(worst, reached / *optimum - 1);
  }
  std::cout << solved << " problems, optimum met in " << met << ", worst " << 100 * worst
            << " % above, " << too_large << " too large for brute force\n";
  EXPECT_GE(met, 95);
  EXPECT_LE(worst, 0.03);
  EXPECT_EQ(cases.check(), cases.sound());
}

}  // namespace
}  // namespace rw::planner
