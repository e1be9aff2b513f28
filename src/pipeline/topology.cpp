// Part of Ropewalk, MIT licence.
#include "pipeline/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "pipeline/json_file.h"
#include "planner/field.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;
using planner::Field;

constexpr const char* kFormat = "ropewalk-topology/1";
constexpr const char* kWhat = "a topology";
constexpr std::array<const char*, 3> kTimes{"forward_s", "backward_input_s", "backward_weight_s"};

[[noreturn]] void fail(const std::string& where, const std::string& got, const std::string& want) {
  throw Error(ErrorKind::kRecipe, fmt::format("{}: got {}, want {}", where, got, want));
}

/// A number, or a list of one per stage.
std::vector<double> per_stage(const Field& in, bool above_zero) {
  if (!in.is_list()) return {in.number(0, above_zero)};
  std::vector<double> out;
  for (const Field& one : in.list(Field::kAny, "stages")) {
    out.push_back(one.number(0, above_zero));
  }
  if (out.empty()) in.fail("an empty list", "a number, or one per stage");
  return out;
}

/// The lists of a node have one length, and its plain numbers hold for every stage.
void read_stages(const Field& in, TopologyNode& out) {
  std::array<std::vector<double>, 3> read;  // absent: empty
  std::size_t count = 1;
  for (std::size_t i = 0; i < read.size(); ++i) {
    if (i > 0 && !in.has(kTimes[i])) continue;
    const Field times = in.at(kTimes[i]);
    read[i] = per_stage(times, i == 0);
    if (!times.is_list()) continue;
    if (!out.listed.empty() && read[i].size() != count) {
      times.fail(fmt::format("{} numbers", read[i].size()),
                 fmt::format("{}, as {} has", count, out.listed));
    }
    if (out.listed.empty()) out.listed = kTimes[i];
    count = read[i].size();
  }
  for (auto& times : read) {
    if (times.empty()) times = read.front();
    if (times.size() == 1) times.resize(count, times.front());
  }
  for (std::size_t s = 0; s < count; ++s) {
    out.stages.push_back({read[0][s], read[1][s], read[2][s]});
  }
}

TopologyNode node_from(const Field& in, std::size_t index) {
  TopologyNode out;
  in.only({kTimes[0], kTimes[1], kTimes[2], "name", "head_s", "memory_micro_batches"}, kWhat);
  read_stages(in, out);
  out.name = in.has("name") ? in.at("name").text() : fmt::format("rank {}", index);
  if (in.has("head_s")) out.head_s = in.at("head_s").number(0);
  out.memory_micro_batches = in.at("memory_micro_batches").whole(1, 1 << 16);
  return out;
}

/// A table [from][to]; nothing travels on its diagonal, which is not read.
planner::Matrix matrix_from(const Field& in, int nodes, bool above_zero) {
  constexpr double kMost = std::numeric_limits<double>::max();
  planner::Matrix out(nodes);
  const auto rows = in.list(nodes, "the nodes");
  for (int i = 0; i < nodes; ++i) {
    const auto row = rows[i].list(nodes, "the nodes");
    for (int j = 0; j < nodes; ++j) {
      if (i != j) out.at(i, j) = row[j].number(0, above_zero, kMost);
    }
  }
  return out;
}

Json rows_of(const planner::Matrix& matrix) {
  Json out = Json::array();
  for (int i = 0; i < matrix.size(); ++i) {
    Json row = Json::array();
    for (int j = 0; j < matrix.size(); ++j) row.push_back(matrix.at(i, j));
    out.push_back(std::move(row));
  }
  return out;
}

/// Seconds of a message of so many bytes [from][to].
planner::Matrix transfer_s(const Topology& topology, double bytes) {
  planner::Matrix out(topology.latency_s.size());
  for (int i = 0; i < out.size(); ++i) {
    for (int j = 0; j < out.size(); ++j) {
      if (i != j) out.at(i, j) = topology.latency_s.at(i, j) + bytes / topology.bandwidth.at(i, j);
    }
  }
  return out;
}

/// The topology is one of the recipe's ranks and stages.
void check_sizes(const Topology& topology, const ParallelOptions& parallel) {
  const std::string& where = topology.where;
  const std::int64_t ranks = parallel.dp * parallel.pp;
  if (static_cast<std::int64_t>(topology.nodes.size()) != ranks) {
    fail(where.empty() ? "topology" : where, fmt::format("{} nodes", topology.nodes.size()),
         fmt::format("{}, one per rank (parallel.dp {} · parallel.pp {}); try another topology, or "
                     "parallel.dp and parallel.pp of {} ranks",
                     ranks, parallel.dp, parallel.pp, topology.nodes.size()));
  }
  for (std::size_t i = 0; i < topology.nodes.size(); ++i) {
    const TopologyNode& node = topology.nodes[i];
    if (node.listed.empty() || std::ssize(node.stages) == parallel.pp) continue;
    fail(fmt::format("{}.nodes[{}].{}", where, i, node.listed),
         fmt::format("{} numbers", node.stages.size()),
         fmt::format("one per stage ({}, parallel.pp); try a plain number where all stages take "
                     "the same",
                     parallel.pp));
  }
}

double mean_forward(const TopologyNode& node) {
  double sum = 0;
  for (const StageSeconds& stage : node.stages) sum += stage.forward;
  return sum / static_cast<double>(node.stages.size());
}

}  // namespace

Json to_json(const Topology& topology) {
  Json out;
  out["format"] = kFormat;
  for (const TopologyNode& node : topology.nodes) {
    Json one;
    one["name"] = node.name;
    for (const StageSeconds& stage : node.stages) {
      one["forward_s"].push_back(stage.forward);
      one["backward_input_s"].push_back(stage.backward_input);
      one["backward_weight_s"].push_back(stage.backward_weight);
    }
    one["head_s"] = node.head_s;
    one["memory_micro_batches"] = node.memory_micro_batches;
    out["nodes"].push_back(std::move(one));
  }
  out["latency_s"] = rows_of(topology.latency_s);
  out["bandwidth_bytes_per_s"] = rows_of(topology.bandwidth);
  return out;
}

Topology topology_from_json(const Json& json, const std::string& where) {
  const Field in(json, where);
  const Field format = in.at("format");
  if (format.shown() != Json(kFormat).dump()) format.fail(format.shown(), Json(kFormat).dump());
  in.only({"format", "nodes", "latency_s", "bandwidth_bytes_per_s"}, kWhat);
  Topology out;
  out.where = where;
  for (const Field& node : in.at("nodes").list(Field::kAny, "ranks")) {
    out.nodes.push_back(node_from(node, out.nodes.size()));
  }
  if (out.nodes.empty()) in.at("nodes").fail("an empty list", "a list of ranks");
  const int size = static_cast<int>(out.nodes.size());
  out.latency_s = matrix_from(in.at("latency_s"), size, false);
  out.bandwidth = matrix_from(in.at("bandwidth_bytes_per_s"), size, true);
  return out;
}

Topology read_topology(const char* key, const std::string& path) {
  return topology_from_json(read_json(key, path), path);
}

Json problem_on(const Topology& topology, const PathDemand& demand) {
  check_sizes(topology, demand.parallel);
  if (demand.micro_batches % demand.parallel.dp != 0) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("pipeline.topology: got {} micro-batches a step, want a multiple of "
                            "parallel.dp {}; try another train.global_batch_size",
                            demand.micro_batches, demand.parallel.dp));
  }
  // A node holds at most all micro-batches. On the strict track a source's slots divide its own, and
  // they are the most that goes through any node.
  const std::int64_t most = demand.micro_batches / (demand.strict ? demand.parallel.dp : 1);
  double forward = 0;
  double backward = 0;
  double head = 0;
  Json out;
  out["format"] = "ropewalk-problem/1";
  for (const TopologyNode& node : topology.nodes) {
    const double mean = mean_forward(node);
    forward += mean;
    head += node.head_s;
    double sum = 0;
    for (const StageSeconds& stage : node.stages) sum += stage.backward();
    backward += sum / static_cast<double>(node.stages.size());
    out["nodes"].push_back(
        {{"name", node.name},
         {"forward_s", mean},
         {"memory_micro_batches", std::min<std::int64_t>(node.memory_micro_batches, most)}});
  }
  const std::int64_t others = demand.parallel.pp - 1;
  const std::int64_t visits = demand.micro_batches * (demand.path_length - 1);
  out["transfer_s"] = rows_of(transfer_s(topology, demand.activation_bytes));
  out["backward_factor"] = backward / forward;
  out["loss_factor"] = head / forward;
  out["gap_s"] = 0.0;
  out["gap_first_forward_s"] = 0.0;
  out["stage_sizes"] =
      std::vector<std::int64_t>(static_cast<std::size_t>(demand.parallel.pp), demand.parallel.dp);
  out["path_length"] = demand.path_length;
  out["micro_batches_per_source"] = demand.micro_batches / demand.parallel.dp;
  out["rules"] = {
      {"max_swaps", demand.max_swaps},
      {"max_jump", std::max<std::int64_t>(1, demand.parallel.pp - demand.path_length + 1)},
      {"stage_quota", others > 0 ? (visits + others - 1) / others : 0}};
  planner::Matrix bandwidth = topology.bandwidth;
  for (int i = 0; i < bandwidth.size(); ++i) bandwidth.at(i, i) = 1;  // not read, but > 0
  out["reduce"] = {{"latency_s", rows_of(topology.latency_s)},
                   {"bandwidth_bytes_per_s", rows_of(bandwidth)},
                   {"gradient_bytes", demand.gradient_bytes}};
  out["objective"] = "iteration";
  if (demand.rotation > 0) out["rotation"] = demand.rotation;
  if (demand.full_every > 0) out["full_every"] = demand.full_every;
  return out;
}

}  // namespace rw::pipeline
