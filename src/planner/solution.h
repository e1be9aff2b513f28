// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
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
};

/// The kept schedule, without bound, evaluations and solve_s.
Solution solution_of(const Schedule& schedule);

core::Json to_json(const Solution& solution);
/// Throws core::Error{kRecipe} "WHERE: …" for JSON that is no solution of this problem's shape.
Solution solution_from_json(const core::Json& json, const Problem& problem,
                            const std::string& where);
/// The order and paths of a solution, for the free track. Its arrangement, and its order by start.
Draft draft_of(const Problem& problem, const Solution& solution);

}  // namespace rw::planner
