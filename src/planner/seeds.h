// Part of Ropewalk, MIT licence.
#pragma once
#include "planner/arrangement.h"
#include "planner/dice.h"
#include "planner/schedule.h"

namespace rw::planner {

/// A random arrangement, its sources (free track too) about as fast as the fastest nodes that suffice. Nodes
/// are exchanged between groups until no reduction takes more than the cap, or for `cap_tries` exchanges;
/// with no cap (objective iteration) the largest reduction is brought down as far as these go. Then
/// `outlook_tries` exchanges improve its outlook (outlook.h). The problem's own arrangement when it has one.
/// About 1 us · (nodes / stages) per exchange for the cap, 10 us per exchange for the outlook with 18 nodes.
Arrangement seed_arrangement(const Problem& problem, Track track, Dice& dice, int cap_tries,
                             int outlook_tries);

/// 1 for the nodes that a seed lets be sources: on the strict track those that have the slots, and of them
/// those about as fast as the fastest that suffice.
List<char> may_be_sources(const Problem& problem, Track track);
/// 1 for the nodes that can be sources by the rules.
List<char> could_be_sources(const Problem& problem, Track track);

/// Paths for all jobs on an arrangement: stages within the quotas, then for one job after the other
/// the cheapest nodes by a shortest path whose nodes cost more the more jobs they have
/// (papers/skippipe.md §12.2). Throws core::Error{kRecipe} when the stages cannot be shared out.
Draft seed_paths(const Problem& problem, Track track, const Arrangement& arrangement);

}  // namespace rw::planner
