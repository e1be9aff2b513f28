// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rw::launcher {

struct PlanCommandOptions {
  std::string recipe;  // or empty: `problem` says it all; one of them
  std::vector<std::string> overrides;
  bool profile = false;  // measure the ranks and their links
  std::string topology;  // read, or with `profile` written; default PLAN_DIR/topology.json
  std::string problem;   // read; a recipe makes its own, PLAN_DIR/problem.json
  std::string out;       // the solution; with a recipe default PLAN_DIR/solution.json
  std::string start;
  std::string track = "free";
  double time_limit_s = 0;       // 0: 10 s, or none when evaluations are limited
  std::int64_t evaluations = 0;  // 0: any number
  std::uint64_t seed = 0;
  int threads = 1;
  bool json = false;
};

/// Reads a problem, or makes one from a recipe and a topology (measured now, or a file), plans within
/// the limits and writes the solution. PLAN_DIR is output_dir/plan of the recipe. Under a launcher all
/// ranks measure, and rank 0 plans.
int run_plan(const PlanCommandOptions& options);

}  // namespace rw::launcher
