// Part of Ropewalk, MIT licence.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>

#include "planner/solution.h"

namespace rw::planner {

/// When a search ends, and what it may tell meanwhile. At least one of the two limits is set.
struct Limits {
  std::int64_t evaluations = 0;  // 0: any number; of all threads together
  double time_s = 0;             // 0: any; needs elapsed_s
  std::function<double()>
      elapsed_s;  // seconds since the search was asked for; called by any thread
  /// True: the search ends soon, as if its time were over. Not owned; null: never.
  const std::atomic<bool>* stop = nullptr;
  /// Called now and then by the first thread: share of the limit used, objective so far.
  std::function<void(double progress, double objective_s)> report;
};

struct PlanOptions {
  Track track = Track::kFree;
  std::uint64_t seed = 0;
  int threads = 1;  // independent runs; the best one wins
  Limits limits;
};

/// Placement, paths and order for a problem, by annealing against event-time decoding from several
/// constructed starts; the free track starts from its own strict solution. With a limit on
/// evaluations alone the result is a function of (problem, options) to the last bit, and solve_s is
/// 0. Throws core::Error{kRecipe} naming the rule when no arrangement is found under the cap on
/// reductions, or when the track cannot be walked.
Solution plan(const Problem& problem, const PlanOptions& options);

/// Times have changed: paths and order anew on the arrangement of `former` (weights do not move),
/// from its own paths and order. Free track. Ends on the limits; never worse than what `former`'s
/// order gives with the new times.
Solution replan(const Problem& problem, const Solution& former, const PlanOptions& options);

}  // namespace rw::planner
