// Part of Ropewalk, MIT licence.
#pragma once

#include "planner/arrangement.h"
#include "planner/list.h"
#include "planner/problem.h"

namespace rw::planner {

/// A time that no plan ends before, in the objective of the problem and on any track, proved in
/// docs/planner.md (papers/skippipe.md §10). With `arrangement` null for plans on any arrangement,
/// else on this one. O(L · N^2) per source at most.
double lower_bound(const Problem& problem, const Arrangement* arrangement);

/// The unloaded round trip of the fastest path from each node as source; infinity where none starts.
/// Paths may be shorter than any real one: nodes may repeat, but not at once.
List<double> shortest_trips(const Problem& problem, const Arrangement* arrangement);

}  // namespace rw::planner
