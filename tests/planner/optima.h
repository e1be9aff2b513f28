// Part of Ropewalk, MIT licence.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <string>

#include "planner/bounds.h"
#include "planner/brute_force.h"
#include "planner/cases.h"
#include "planner/planner.h"

namespace rw::test {

/// Plans of small problems beside the optimum that brute force finds.
class Optima {
 public:
  /// `name`: of the cases for the checker.
  explicit Optima(const std::string& name) : cases_(name) {}

  /// Plans on the free track and holds the plan's bounds against the optimum. Not counted when the
  /// problem is too large for brute force.
  void add(const core::Json& json) {
    const auto problem = planner::problem_from_json(json, "p");
    planner::PlanOptions options;
    options.limits.evaluations = 20000;
    const auto solution = planner::plan(problem, options);
    const bool iteration = problem.objective == planner::Objective::kIteration;
    const double reached = iteration ? solution.iteration_s : solution.makespan_s;
    const auto optimum = BruteForce(problem, reached + 1e-6, 400'000).solve();
    if (!optimum) {
      ++too_large_;
      return;
    }
    ++solved_;
    cases_.add(json, solution, planner::Track::kFree);
    EXPECT_LE(solution.lower_bound_s, *optimum + 1e-6) << json.dump();
    const planner::Arrangement arrangement(solution.arrangement);
    EXPECT_LE(planner::lower_bound(problem, &arrangement), reached + 1e-6) << json.dump();
    if (reached <= *optimum * (1 + 1e-6) + 1e-6) ++met_;
    worst_ = std::max(worst_, reached / *optimum - 1);
  }
  int solved() const { return solved_; }

  /// All of them are sound, 95 % are optimal, and none is more than 3 % worse.
  void check() {
    std::cout << solved_ << " problems, optimum met in " << met_ << ", worst " << 100 * worst_
              << " % above, " << too_large_ << " too large for brute force\n";
    EXPECT_GE(100 * met_, 95 * solved_);
    EXPECT_LE(worst_, 0.03);
    EXPECT_EQ(cases_.check(), cases_.sound());
  }

 private:
  Cases cases_;
  int solved_ = 0, met_ = 0, too_large_ = 0;
  double worst_ = 0;
};

}  // namespace rw::test
