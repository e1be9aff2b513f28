// Part of Ropewalk, MIT licence.
#pragma once
#include <vector>

#include "pipeline/plan_cycle.h"
#include "pipeline/topology.h"
#include "recipe/recipe.h"

namespace rw::launcher {

/// What a recipe asks of a planner of paths. Throws Error{kRecipe} when it has a single rank.
pipeline::PathDemand demand_of(const recipe::Recipe& recipe);

/// The plan that training makes for itself from pipeline.topology: a fixed number of schedules from one
/// seed, so that every rank finds the same plan alone. Below a second for 20 ranks; `ropewalk plan`
/// searches longer. Throws what reading, planning and pipeline::plan_from_walks throw.
pipeline::PlanCycle plans_on_topology(const recipe::Recipe& recipe);

/// Seconds of a message [from][to], as pipeline.topology or pipeline.problem says; empty: neither is
/// given.
std::vector<std::vector<double>> known_transfers(const recipe::Recipe& recipe);

}  // namespace rw::launcher
