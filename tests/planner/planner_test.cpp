// Part of Ropewalk, MIT licence.
#include "planner/planner.h"

#include <gtest/gtest.h>

#include <iostream>
#include <optional>
#include <string>

#include "core/error.h"
#include "planner/cases.h"
#include "planner/optima.h"
#include "planner/random_problem.h"
#include "support/sanitized.h"

namespace rw::planner {
namespace {

using core::Json;

PlanOptions options_of(std::int64_t evaluations, Track track = Track::kFree,
                       std::uint64_t seed = 0) {
  PlanOptions out;
  out.track = track;
  out.seed = seed;
  out.limits.evaluations = evaluations;
  return out;
}

/// Two sources, two stages of two nodes behind them, all alike: worked out by hand below.
Json small_problem() {
  return Json::parse(R"({
    "format": "ropewalk-problem/1",
    "nodes": [{"forward_s": 1, "memory_micro_batches": 1}, {"forward_s": 1, "memory_micro_batches": 1}],
    "transfer_s": [[0, 0.5], [0.25, 0]],
    "backward_factor": 2, "loss_factor": 0.5, "gap_s": 0.125, "gap_first_forward_s": 0.0625,
    "stage_sizes": [1, 1], "path_length": 2, "micro_batches_per_source": 2,
    "rules": {"max_swaps": 0, "max_jump": 1, "stage_quota": 2}, "arrangement": [[0], [1]]})");
}

TEST(Planner, OneMicroBatchAtATimeByHand) {
  const Problem problem = problem_from_json(small_problem(), "p");
  const Solution solution = plan(problem, options_of(1000));
  // F0 0-1, way .5, F1 1.5-2.5, way .25, loss 2.75-3.25, way .5, B1 3.75-5.75, way .25, B0 6-8.
  const List<double> first{0, 1.5, 2.75, 3.75, 6};
  ASSERT_EQ(solution.micro_batches.size(), 2U);
  const auto& batches = solution.micro_batches;
  EXPECT_EQ(batches[0].starts[0] == 0 ? batches[0].starts : batches[1].starts, first);
  // The other one when the node is free of the gap behind B0.
  EXPECT_DOUBLE_EQ(solution.makespan_s, 8.125 + 8);
  // Bound 1 with memory 1: two trips and the gap between them.
  EXPECT_DOUBLE_EQ(solution.lower_bound_s, 16.125);
  EXPECT_DOUBLE_EQ(solution.gap_percent, 0);
  EXPECT_EQ(solution.solve_s, 0);
}

TEST(Planner, SameSeedSameBytes) {
  test::RandomProblems problems(5, {});
  for (int i = 0; i < 20; ++i) {
    const Problem problem = problem_from_json(problems.next(), "p");
    auto options = options_of(3000);
    options.threads = 1 + i % 3;
    const auto one = to_json(plan(problem, options)).dump();
    EXPECT_EQ(one, to_json(plan(problem, options)).dump());
  }
}

/// The result, or the rule that a refusal names.
std::optional<Solution> plan_or_refusal(const Json& json, Track track, std::string* refusal) {
  try {
    const Problem problem = problem_from_json(json, "p");
    if (track == Track::kStrict && !strict_refusal(problem).empty()) track = Track::kFree;
    return plan(problem, options_of(150, track));
  } catch (const core::Error& error) {
    EXPECT_EQ(error.exit_code(), 2) << error.what();
    *refusal = error.what();
    return std::nullopt;
  }
}

TEST(Planner, AThousandRandomProblemsAreSoundOrRefusedByName) {
  test::RandomProblems problems(11, {.may_be_infeasible = true});
  test::Cases cases("ropewalk_planner_random");
  int planned = 0, refused = 0;
  constexpr int kProblems = test::sanitized_or(200, 1000);
  for (int i = 0; planned < kProblems; ++i) {
    const Json json = problems.next();
    std::string refusal;
    Track track = i % 3 == 0 ? Track::kStrict : Track::kFree;
    const auto solution = plan_or_refusal(json, track, &refusal);
    if (!solution) {
      ++refused;
      const bool quota = refusal.find("stage_quota") != std::string::npos;
      const bool cap = refusal.find("max_reduce_s") != std::string::npos;
      const bool slots = refusal.find("strict") != std::string::npos;
      EXPECT_TRUE(quota || cap || slots) << refusal;
      continue;
    }
    ++planned;
    if (track == Track::kStrict && !strict_refusal(problem_from_json(json, "p")).empty()) {
      track = Track::kFree;
    }
    cases.add(json, *solution, track);
  }
  EXPECT_GT(refused, kProblems / 50);
  EXPECT_LT(refused, kProblems);
  EXPECT_EQ(cases.check(), cases.sound());
}

TEST(Planner, OptimumOfSmallProblems) {
  // At most 5 nodes; swaps allowed in half of them; memory 1 to 3; quotas that are just enough.
  test::RandomProblems problems(
      23, {.max_nodes = 5, .max_stages = 4, .max_per_source = 4, .max_operations = 24});
  test::Optima optima("ropewalk_planner_small");
  while (optima.solved() < test::sanitized_or(30, 200)) {
    const Json json = problems.next();
    std::string refusal;
    if (plan_or_refusal(json, Track::kFree, &refusal)) optima.add(json);
  }
  optima.check();
}

TEST(Planner, FreeIsNoWorseThanItsOwnStrict) {
  test::RandomProblems problems(31, {});
  int compared = 0;
  while (compared < 30) {
    const Problem problem = problem_from_json(problems.next(), "p");
    if (!strict_refusal(problem).empty()) continue;
    Solution strict;
    try {
      strict = plan(problem, options_of(20000, Track::kStrict));
    } catch (const core::Error&) {
      continue;  // too few slots for the quotas
    }
    const Solution free = plan(problem, options_of(20000));
    const bool iteration = problem.objective == Objective::kIteration;
    EXPECT_LE(iteration ? free.iteration_s : free.makespan_s,
              1.002 * (iteration ? strict.iteration_s : strict.makespan_s));
    ++compared;
  }
}

TEST(Planner, ReplanKeepsTheArrangementAndIsNoWorse) {
  test::RandomProblems problems(41, {});
  test::Cases cases("ropewalk_planner_replan");
  for (int i = 0; i < 30;) {
    Json json = problems.next();
    if (json.value("objective", "") == "makespan") continue;  // caps may refuse
    std::string refusal;
    const auto former = plan_or_refusal(json, Track::kFree, &refusal);
    if (!former) continue;
    ++i;
    json["nodes"][0]["forward_s"] = 2 * json["nodes"][0]["forward_s"].get<double>();
    const Problem slower = problem_from_json(json, "p");
    // One evaluation is none: what the former order gives with the new times.
    const Solution before = replan(slower, *former, options_of(1));
    const Solution after = replan(slower, *former, options_of(3000));
    EXPECT_EQ(after.arrangement, former->arrangement);
    const bool iteration = slower.objective == Objective::kIteration;
    EXPECT_LE(iteration ? after.iteration_s : after.makespan_s,
              iteration ? before.iteration_s : before.makespan_s);
    json["arrangement"] = former->arrangement;
    cases.add(json, after, Track::kFree);
  }
  EXPECT_EQ(cases.check(), cases.sound());
}

TEST(Planner, TimeIsAskedForAndKept) {
  // A clock of the test: a tenth of a second each time it is asked.
  Json json = small_problem();
  for (auto& node : json["nodes"]) node["memory_micro_batches"] = 2;
  json["micro_batches_per_source"] = json["rules"]["stage_quota"] = 6;
  const Problem problem = problem_from_json(json, "p");
  double now = 0;
  PlanOptions options;
  options.limits.time_s = 2;
  options.limits.elapsed_s = [&now] { return now += 0.1; };
  double reported = 0;
  options.limits.report = [&reported](double progress, double) { reported = progress; };
  const Solution solution = plan(problem, options);
  EXPECT_GE(solution.solve_s, 2);
  EXPECT_LE(solution.solve_s, 2.5);
  EXPECT_GT(reported, 0.5);
  EXPECT_GT(solution.gap_percent, 0);  // else the search would end before its time
}

TEST(Planner, EvaluationsDecideTheCourseWhereTimeIsLimitedToo) {
  Json json = small_problem();
  for (auto& node : json["nodes"]) node["memory_micro_batches"] = 2;
  json["micro_batches_per_source"] = json["rules"]["stage_quota"] = 6;
  const Problem problem = problem_from_json(json, "p");
  const auto found_by = [&](double each_look_s) {
    double now = 0;
    PlanOptions options = options_of(20000);
    options.limits.time_s = 100;
    options.limits.elapsed_s = [&now, each_look_s] { return now += each_look_s; };
    Solution out = plan(problem, options);
    out.solve_s = 0;
    return to_json(out).dump();
  };
  EXPECT_EQ(found_by(1e-3), found_by(0.4));
  EXPECT_NE(found_by(1e-3), found_by(20));  // it ends the search all the same
}

TEST(Planner, TheBoundEndsTheSearch) {
  const Solution solution = plan(problem_from_json(small_problem(), "p"), options_of(1000));
  EXPECT_EQ(solution.gap_percent, 0);
  EXPECT_LT(solution.evaluations, 1000);
}

TEST(Planner, ACapThatNoArrangementMeetsIsNamed) {
  auto json = small_problem();
  json["nodes"].push_back(json["nodes"][0]);
  json["transfer_s"] = {{0, 1, 1}, {1, 0, 1}, {1, 1, 0}};
  json["stage_sizes"] = {1, 2};
  json.erase("arrangement");
  json["reduce"] = {{"latency_s", {{0, 1, 1}, {1, 0, 1}, {1, 1, 0}}},
                    {"bandwidth_bytes_per_s", {{0, 1, 1}, {1, 0, 1}, {1, 1, 0}}},
                    {"gradient_bytes", 2},
                    {"max_reduce_s", 3.5}};
  // Any two nodes: 2 (1 + 2 / (2 * 1)) = 4 s.
  std::string refusal;
  EXPECT_FALSE(plan_or_refusal(json, Track::kFree, &refusal).has_value());
  EXPECT_NE(refusal.find("max_reduce_s"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("4.000"), std::string::npos) << refusal;
  json["reduce"]["max_reduce_s"] = 4;
  EXPECT_TRUE(plan_or_refusal(json, Track::kFree, &refusal).has_value());
}

}  // namespace
}  // namespace rw::planner
