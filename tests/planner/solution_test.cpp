// Part of Ropewalk, MIT licence.
#include "planner/solution.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "planner/planner.h"
#include "planner/random_problem.h"

namespace rw::planner {
namespace {

Solution solve(const Problem& problem) {
  PlanOptions options;
  options.limits.evaluations = 500;
  return plan(problem, options);
}

TEST(Solution, ComesBackFromItsFileWithTheSameTimes) {
  test::RandomProblems problems(2, {});
  for (int i = 0; i < 10; ++i) {
    auto json = problems.next();
    if (json.contains("reduce")) json["objective"] = "iteration";
    const Problem problem = problem_from_json(json, "p");
    const Solution solution = solve(problem);
    const auto text = to_json(solution).dump();
    const Solution back = solution_from_json(core::Json::parse(text), problem, "s.json");
    const Schedule schedule(problem, Track::kFree, draft_of(problem, back), 0);
    EXPECT_NEAR(schedule.makespan(), solution.makespan_s, 1e-9);
    EXPECT_NEAR(schedule.iteration(), solution.iteration_s, 1e-9);
  }
}

TEST(Solution, KeysAreThoseOfTheFormat) {
  test::RandomProblems problems(4, {});
  const Problem problem = problem_from_json(problems.next(), "p");
  const auto json = to_json(solve(problem));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"arrangement", "micro_batches", "makespan_s",
                                            "iteration_s", "lower_bound_s", "gap_percent",
                                            "reduce_s", "evaluations", "solve_s"}));
}

TEST(Solution, OfAnotherProblemIsRefused) {
  test::RandomProblems problems(6, {});
  core::Json one;
  do {
    one = problems.next();
  } while (one["path_length"] < 2 || one.contains("reduce"));
  const Problem problem = problem_from_json(one, "p");
  auto json = to_json(solve(problem));
  const auto refusal = [&](const core::Json& changed) -> std::string {
    try {
      solution_from_json(changed, problem, "s.json");
    } catch (const core::Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(json), "");
  auto changed = json;
  changed["micro_batches"][0]["path"][1] = changed["micro_batches"][0]["path"][0];
  EXPECT_NE(refusal(changed).find("the stages of a path"), std::string::npos);
  changed = json;
  changed["micro_batches"].erase(0);
  EXPECT_NE(refusal(changed).find("its micro-batches"), std::string::npos);
  changed = json;
  changed.erase("arrangement");
  EXPECT_EQ(refusal(changed), "s.json: has no `arrangement`; it must be given");
  changed = json;
  changed["micro_batches"] = nullptr;
  EXPECT_EQ(refusal(changed), "s.json.micro_batches: got null, want a list of micro-batches");
}

TEST(Solution, OfAnotherArrangementThanTheProblemFixesIsRefused) {
  test::RandomProblems problems(6, {});
  core::Json json;
  do {
    json = problems.next();
  } while (json.contains("reduce") || json.contains("arrangement"));
  const Solution found = solve(problem_from_json(json, "p"));
  json["arrangement"] = found.arrangement;
  EXPECT_EQ(solution_from_json(to_json(found), problem_from_json(json, "p"), "s").arrangement,
            found.arrangement);
  std::swap(json["arrangement"][0][0], json["arrangement"][1][0]);
  const Problem fixed = problem_from_json(json, "p");
  try {
    solution_from_json(to_json(found), fixed, "s.json");
    FAIL() << "taken";
  } catch (const core::Error& error) {
    EXPECT_STREQ(error.what(),
                 "s.json: does not fit the problem: its arrangement is not the one that the "
                 "problem fixes");
  }
}

}  // namespace
}  // namespace rw::planner
