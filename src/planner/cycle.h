// Part of Ropewalk, MIT licence.
#pragma once
#include "planner/planner.h"
#include "planner/schedule.h"

namespace rw::planner {

/// One plan: from nothing, or from `start` on its arrangement. Of a solution's fields those of further
/// plans stay empty.
Solution plan_once(const Problem& problem, const PlanOptions& options, const Draft* start,
                   const Coverage* coverage);

/// All plans of a problem that has several iterations (rotation, full_every), one after the other on
/// the arrangement of the first, each on its share of the limits; the one plan of any other problem.
/// Throws core::Error{kRecipe} "rotation: …" when a source has not visited every stage by its end.
Solution plan_cycle(const Problem& problem, const PlanOptions& options, const Draft* start);

}  // namespace rw::planner
