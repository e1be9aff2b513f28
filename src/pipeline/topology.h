// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "pipeline/options.h"
#include "pipeline/walks.h"
#include "planner/problem.h"

namespace rw::pipeline {

/// What one micro-batch takes in one stage of layers, in seconds.
struct StageSeconds {
  double forward = 0, backward_input = 0, backward_weight = 0;
  double backward() const { return backward_input + backward_weight; }
};

/// A rank: what it takes for each stage of layers (one entry: the same for all of them), for the head
/// with its loss, and how many micro-batches it has memory for.
struct TopologyNode {
  std::string name;
  std::vector<StageSeconds> stages;
  std::string listed;  // the first key that gave a list, one entry per stage; empty: none did
  double head_s = 0;
  int memory_micro_batches = 1;
};

/// `ropewalk-topology/1` (docs/formats/topology.md): ranks and the links between them, measured
/// (profile.h) or written by hand. Row: from, column: to.
struct Topology {
  std::string where;  // the file, for messages
  std::vector<TopologyNode> nodes;
  planner::Matrix latency_s, bandwidth;  // seconds; bytes/s
};

core::Json to_json(const Topology& topology);
/// Throws Error{kRecipe} "WHERE: …" saying which field is wrong, what was read and what is wanted.
Topology topology_from_json(const core::Json& json, const std::string& where);
/// The same from a file.
Topology read_topology(const char* key, const std::string& path);

/// What a recipe asks of a planner of paths.
struct PathDemand {
  ParallelOptions parallel;
  std::int64_t path_length = 0;  // stages that a micro-batch visits, the first one counted
  std::int64_t max_swaps = 0;
  std::int64_t micro_batches = 0;  // of a step
  bool strict = false;             // planned on the strict track
  double activation_bytes = 0;     // of one message
  double gradient_bytes = 0;       // of the largest stage, on the wire
  std::int64_t rotation = 0;       // of the problem; 0: none
  std::int64_t full_every = 0;
};

/// `ropewalk-problem/1` of a recipe on a topology: dp sources and groups of dp nodes; every stage but
/// the first is visited equally often (give or take one); a node's forward is its mean over stages, backward and
/// loss factors are those of all nodes together; no node has memory for more micro-batches than can
/// lie on it (strict: than one source has); objective: iteration. Throws Error{kRecipe} when the
/// topology has another number of ranks, or lists of another number of stages, than the recipe.
core::Json problem_on(const Topology& topology, const PathDemand& demand);

}  // namespace rw::pipeline
