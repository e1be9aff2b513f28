// Part of Ropewalk, MIT licence.
#pragma once
#include "planner/arrangement.h"
#include "planner/dice.h"
#include "planner/schedule.h"

namespace rw::planner {

/// A random arrangement, its sources (free track too) about as fast as the fastest nodes that suffice, whose
/// stages were then improved, by exchanging nodes between groups, until
/// no reduction takes more than the cap, or for `tries` exchanges; with no cap (objective
/// iteration) the largest reduction is brought down as far as the tries go. The problem's own
/// arrangement when it has one. About 1 us · (nodes / stages) per try.
Arrangement seed_arrangement(const Problem& problem, Track track, Dice& dice, int tries);

/// Paths for all jobs on an arrangement: stages within the quotas, then for one job after the other
/// the cheapest nodes by a shortest path whose nodes cost more the more jobs they have
/// (papers/skippipe.md §12.2). Throws core::Error{kRecipe} when the stages cannot be shared out.
Draft seed_paths(const Problem& problem, Track track, const Arrangement& arrangement);

}  // namespace rw::planner
