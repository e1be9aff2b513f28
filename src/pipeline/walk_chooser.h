// Part of Ropewalk, MIT licence.
#pragma once
#include <vector>

#include "pipeline/problem.h"
#include "pipeline/walks.h"

namespace rw::pipeline {

/// The nodes of every path, without times.
using Paths = std::vector<std::vector<int>>;

/// Balanced skipping in turn, with no view of costs: what runs until a planner says better. Stage s is
/// held by the ranks replica · pp + s; micro-batch m has its source in replica m % dp and visits
/// path_length − 1 of the other stages in rising order: a window that moves on by as many, so that
/// all stages are visited equally often (give or take one); each of them on its replicas in turn.
/// path_length: 1 .. problem.pp; problem.chunks is not read. `turn` of a rotation: windows begin turn ·
/// (path_length − 1) stages further on, so that in ⌈(pp − 1) / (path_length − 1)⌉ turns every
/// micro-batch of a step visits every stage.
Paths choose_paths(const Problem& problem, int path_length, int turn = 0);
/// The arrangement of choose_paths.
std::vector<std::vector<int>> spread_stages(const Problem& problem);

/// When everything runs, by list scheduling in event time under the nodes' memory: of all operations
/// the one that can start first, backward before forward, the earlier micro-batch first. The stages of
/// each path must rise: then no two micro-batches can wait for each other's memory. Throws
/// Error{kRecipe} when a node has no memory at all. Cost: operations · micro-batches.
Walks schedule_walks(std::vector<std::vector<int>> arrangement, const Paths& paths,
                     const WalkCosts& costs);

}  // namespace rw::pipeline
