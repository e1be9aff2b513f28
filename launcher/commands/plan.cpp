// Part of Ropewalk, MIT licence.
#include "launcher/commands/plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <string_view>

#include "core/error.h"
#include "core/json.h"
#include "planner/planner.h"
#include "planner/problem.h"
#include "planner/solution.h"
#include "store/posix.h"

namespace rw::launcher {

using core::Error;
using core::ErrorKind;
using core::Json;

namespace {

constexpr double kDefaultTimeLimitS = 10;

Json read_json(store::Store& store, const std::string& path) {
  try {
    return Json::parse(store::read_whole(store, path));
  } catch (const Json::parse_error& error) {
    throw Error(ErrorKind::kRecipe, fmt::format("{}: is not JSON: {}", path, error.what()));
  }
}

/// One line that is written over: "plan 42% best 56.546 s".
class ProgressLine {
 public:
  ProgressLine() : shown_(::isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() {
    if (last_tenth_ >= 0) std::cerr << '\n';
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void operator()(double progress, double objective_s) {
    const int tenth = static_cast<int>(1000 * progress);
    if (!shown_ || objective_s <= 0 || tenth == last_tenth_) return;
    last_tenth_ = tenth;
    std::cerr << fmt::format("\rplan {:5.1f}% best {:.3f} s ", 100 * progress, objective_s)
              << std::flush;
  }

 private:
  bool shown_;
  int last_tenth_ = -1;
};

void print_summary(const planner::Problem& problem, const planner::Solution& solution) {
  const bool iteration = problem.objective == planner::Objective::kIteration;
  std::cout << fmt::format("makespan_s {:.3f}\niteration_s {:.3f}\nreduce_s {:.3f}\n",
                           solution.makespan_s, solution.iteration_s, solution.reduce_s);
  std::cout << fmt::format("lower_bound_s {:.3f} (of the {})\ngap_percent {:.2f}\n",
                           solution.lower_bound_s, iteration ? "iteration" : "makespan",
                           solution.gap_percent);
  std::cout << fmt::format("evaluations {}\nsolve_s {:.2f}\n", solution.evaluations,
                           solution.solve_s);
}

}  // namespace

int run_plan(const PlanCommandOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  if (!options.recipe.empty() || options.problem.empty()) {
    throw Error(ErrorKind::kUsage,
                "plan: planning a recipe is not in this version; give --problem P.json");
  }
  const auto store = store::make_posix();
  const auto problem =
      planner::problem_from_json(read_json(*store, options.problem), options.problem);
  planner::PlanOptions plan;
  plan.track = options.track == "strict" ? planner::Track::kStrict : planner::Track::kFree;
  plan.seed = options.seed;
  plan.threads = options.threads;
  plan.limits.evaluations = options.evaluations;
  plan.limits.time_s = options.time_limit_s;
  if (options.time_limit_s <= 0 && options.evaluations <= 0)
    plan.limits.time_s = kDefaultTimeLimitS;
  plan.limits.elapsed_s = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  planner::Solution solution;
  {
    ProgressLine line;
    plan.limits.report = [&line](double progress, double best) { line(progress, best); };
    if (options.start.empty()) {
      solution = planner::plan(problem, plan);
    } else {
      const auto former =
          planner::solution_from_json(read_json(*store, options.start), problem, options.start);
      solution = planner::replan(problem, former, plan);
    }
  }
  const std::string text = planner::to_json(solution).dump() + "\n";
  if (!options.out.empty()) store::write_whole(*store, options.out, text);
  if (options.json) {
    std::cout << text;
  } else {
    print_summary(problem, solution);
  }
  return 0;
}

}  // namespace rw::launcher
