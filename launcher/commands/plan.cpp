// Part of Ropewalk, MIT licence.
#include "launcher/commands/plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/signal_handlers.h"
#include "data/corpus.h"
#include "launcher/assemble.h"
#include "launcher/ranks.h"
#include "launcher/recipe_facts.h"
#include "launcher/thread_limits.h"
#include "launcher/topology_plan.h"
#include "pipeline/json_file.h"
#include "pipeline/profile.h"
#include "pipeline/topology.h"
#include "planner/planner.h"
#include "planner/problem.h"
#include "planner/solution.h"
#include "store/posix.h"

namespace rw::launcher {

namespace fs = std::filesystem;
using core::Error;
using core::ErrorKind;

namespace {

constexpr double kDefaultTimeLimitS = 10;

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
  if (solution.mean_s > 0) {
    std::cout << fmt::format("mean_s {:.3f} (of the {}, over all iterations)\n", solution.mean_s,
                             iteration ? "iteration" : "makespan");
  }
  std::cout << fmt::format("evaluations {}\nsolve_s {:.2f}\n", solution.evaluations,
                           solution.solve_s);
}

/// Where a recipe's plan lies.
struct PlanFiles {
  std::string topology, problem, solution;
};

PlanFiles files_of(const PlanCommandOptions& options, const recipe::Recipe& recipe) {
  const std::string folder = (fs::path(recipe.output_dir) / "plan").string();
  const auto path = [&](const std::string& given, const char* name) {
    return given.empty() ? folder + "/" + name : given;
  };
  const std::string& topology =
      options.topology.empty() ? recipe.pipeline.topology : options.topology;
  return {path(topology, "topology.json"), folder + "/problem.json",
          path(options.out, "solution.json")};
}

void write_text(store::Store& store, const std::string& path, const std::string& text) {
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty()) fs::create_directories(folder);
  store::write_whole(store, path, text);
}

/// All ranks measure; the file is rank 0's, whose process `goes_on`. Returns the exit code.
int profile(const Place& place, const LoadedJob& job, const PlanCommandOptions& options,
            const PlanFiles& files, bool& goes_on) {
  const RankPlan ranks = plan_ranks(place, job.recipe);
  const Start start = start_of(
      "plan --profile", {{"--topology", options.topology}, {"--track", options.track}}, job, ranks);
  return run_ranks(place, ranks, start, [&](const RankParts& rank) {
    pipeline::TrainerOptions trainer;
    together(rank.world, [&] {
      trainer =
          trainer_options(job.recipe, data::Corpora(job.recipe.data, job.recipe.train.seq_len));
    });
    rank.alarm.stop();
    const auto topology = pipeline::measure_topology(trainer, {}, rank.world);
    together(rank.world, [&] {
      if (rank.world.rank() != 0) return;
      goes_on = true;
      const auto store = store::make_posix();
      write_text(*store, files.topology, pipeline::to_json(topology).dump(1) + "\n");
    });
    return 0;
  });
}

}  // namespace

namespace {

/// Set by INT or TERM while a problem is solved; a second one of the same kind ends the process as ever. A handler
/// has no argument of its own to write to.
std::atomic<bool>& stopped() {
  static constinit std::atomic<bool> flag{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "safe in a signal handler");
  return flag;
}
extern "C" void ropewalk_stop_planning(int /*signal*/) { stopped() = true; }

planner::Solution solve(const PlanCommandOptions& options, const planner::Problem& problem,
                        std::chrono::steady_clock::time_point begin) {
  try_threads(options.threads);
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
  plan.limits.stop = &stopped();
  ProgressLine line;
  plan.limits.report = [&line](double progress, double best) { line(progress, best); };
  if (options.start.empty()) return planner::plan(problem, plan);
  const auto former = planner::solution_from_json(
      pipeline::read_json("--start", options.start, ErrorKind::kRecipe), problem, options.start);
  return planner::replan(problem, former, plan);
}

/// Solves the problem in a file; the solution goes to `out`, where that is not empty.
int solve_file(const PlanCommandOptions& options, const std::string& path, const std::string& out) {
  const auto begin = std::chrono::steady_clock::now();
  const auto problem =
      planner::problem_from_json(pipeline::read_json("--problem", path, ErrorKind::kRecipe), path);
  const core::SignalHandlers<2> handlers({SIGINT, SIGTERM}, ropewalk_stop_planning, SA_RESETHAND);
  const auto solution = solve(options, problem, begin);
  const std::string text = planner::to_json(solution).dump() + "\n";
  if (!out.empty()) write_text(*store::make_posix(), out, text);
  if (options.json) {
    std::cout << text;
  } else {
    print_summary(problem, solution);
  }
  if (stopped()) {
    throw Error(ErrorKind::kPreempted,
                "plan: stopped by a signal; what it had found until then is the plan");
  }
  return 0;
}

/// A word as a shell takes it.
std::string shell_word(const std::string& word) {
  static constexpr std::string_view kPlain = "_@%+=:,./-";
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kPlain.find(c) != kPlain.npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// The command that trains on the plan: the recipe and its overrides as they were given, less what the
/// solution stands for. A topology that the recipe itself names has to be taken out of it first.
std::string train_command(const PlanCommandOptions& options, const recipe::Recipe& recipe,
                          const PlanFiles& files) {
  static constexpr std::array<std::string_view, 6> kReplaced{
      "pipeline.schedule",   "pipeline.topology", "pipeline.rotation",
      "pipeline.full_every", "pipeline.problem",  "pipeline.solution"};
  std::vector<std::string> words{"ropewalk", "train", options.recipe};
  for (const std::string& given : options.overrides) {
    const std::string_view key = std::string_view(given).substr(0, given.find('='));
    if (std::find(kReplaced.begin(), kReplaced.end(), key) == kReplaced.end())
      words.push_back(given);
  }
  words.emplace_back("pipeline.schedule=skippipe");
  words.push_back("pipeline.problem=" + files.problem);
  words.push_back("pipeline.solution=" + files.solution);
  if (recipe.pipeline.rotation != 0) words.emplace_back("pipeline.rotation=0");
  if (recipe.pipeline.full_every != 0) words.emplace_back("pipeline.full_every=0");
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + shell_word(word);
  if (!recipe::load(options.recipe, {}, gather_facts()).recipe.pipeline.topology.empty()) {
    out += "\nfirst take pipeline.topology out of " + options.recipe +
           ": it is refused beside pipeline.solution";
  }
  return out;
}

int plan_recipe(const PlanCommandOptions& options) {
  const Place place = options.profile ? find_place() : Place{};
  const LoadedJob job = load_job(place, options.recipe, options.overrides, gather_facts());
  if (job.exit_code) return *job.exit_code;
  const PlanFiles files = files_of(options, job.recipe);
  auto demand = demand_of(job.recipe);  // refuses before anything is measured
  demand.strict = options.track == "strict";
  if (options.profile) {
    bool goes_on = false;
    const int code = profile(place, job, options, files, goes_on);
    if (code != 0 || !goes_on) return code;
  }
  if (options.topology.empty() && job.recipe.pipeline.topology.empty() &&
      !fs::exists(files.topology)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("plan: {} is not there yet; want --profile, which measures this "
                            "machine and writes it, or --topology T.json",
                            files.topology));
  }
  const auto topology = pipeline::read_topology("--topology", files.topology);
  const auto store = store::make_posix();
  write_text(*store, files.problem, pipeline::problem_on(topology, demand).dump(1) + "\n");
  const int code = solve_file(options, files.problem, files.solution);
  if (!options.json) {
    std::cout << "train with: " << train_command(options, job.recipe, files) << '\n';
  }
  return code;
}

}  // namespace

int run_plan(const PlanCommandOptions& options) {
  if (!options.recipe.empty() && !options.problem.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("plan: got the recipe {} and --problem {}, want one of them: a recipe "
                            "makes its own problem; try --topology T.json with it",
                            options.recipe, options.problem));
  }
  if (!options.recipe.empty()) return plan_recipe(options);
  if (options.problem.empty() || options.profile || !options.topology.empty()) {
    throw Error(ErrorKind::kUsage,
                "plan: got no recipe, want RECIPE.yaml [--profile] [--topology T.json], or "
                "--problem P.json alone");
  }
  return solve_file(options, options.problem, options.out);
}

}  // namespace rw::launcher
