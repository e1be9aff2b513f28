// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

namespace rw::launcher {

struct PlanCommandOptions {
  std::string recipe;
  std::string problem, out, start;
  std::string track = "free";
  double time_limit_s = 0;       // 0: 10 s, or none when evaluations are limited
  std::int64_t evaluations = 0;  // 0: any number
  std::uint64_t seed = 0;
  int threads = 1;
  bool json = false;
};

/// Reads a problem, plans within the limits and writes the solution.
int run_plan(const PlanCommandOptions& options);

}  // namespace rw::launcher
