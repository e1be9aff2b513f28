// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "planner/list.h"
#include "planner/schedule.h"

namespace rw::planner {

/// A micro-batch in a solution: L nodes, and the starts of its 2L + 1 operations in seconds; split:
/// those of its L weight gradients too, in the order of the path.
struct MicroBatch {
  List<int> path;
  List<double> starts;
  List<double> weight_starts = {};
};

/// A plan of other iterations, on the same arrangement.
struct FurtherPlan {
  List<MicroBatch> micro_batches;
  double makespan_s = 0, iteration_s = 0;
  double lower_bound_s = 0;  // of the objective, on this arrangement
};

/// What the planner found (docs/formats/solution.md). Micro-batches source by source; strict: slot by
/// slot, wave by wave.
struct Solution {
  List<List<int>> arrangement;
  List<MicroBatch> micro_batches;
  double makespan_s = 0;     // end of the last B
  double iteration_s = 0;    // end of the last reduction
  double lower_bound_s = 0;  // of the objective
  double gap_percent = 0;    // of the objective above its bound
  double reduce_s = 0;       // the largest reduction
  std::int64_t evaluations = 0;
  double solve_s = 0;
  List<FurtherPlan> rotations;      // of the second iteration of a rotation, the third …
  std::optional<FurtherPlan> full;  // of every full_every-th iteration
  double mean_s = 0;                // of the objective, over all iterations; with either of the two
  List<List<int>> visits;           // rotation: [source][stage - 1], by all its plans
};

/// The kept schedule, without bound, evaluations and solve_s.
Solution solution_of(const Schedule& schedule);

core::Json to_json(const Solution& solution);
/// Throws core::Error{kRecipe} "WHERE: …" for JSON that is no solution of this problem's shape.
Solution solution_from_json(const core::Json& json, const Problem& problem,
                            const std::string& where);
/// Paths of a solution of a track, and its order by start.
Draft draft_of(const Problem& problem, const Solution& solution, Track track = Track::kFree);
/// The problem that the further plan `full` solves: all stages are visited, on that arrangement.
Problem full_problem(const Problem& problem, const List<List<int>>& arrangement);

}  // namespace rw::planner
