// Part of Ropewalk, MIT licence.
#include "planner/solution.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"

namespace rw::planner {

using core::Error;
using core::ErrorKind;
using core::Json;

Solution solution_of(const Schedule& schedule) {
  const Problem& p = schedule.problem();
  Solution out;
  out.arrangement = schedule.arrangement().members();
  const int each = p.operations_per_path();
  const auto weights = schedule.weight_starts();
  for (int job = 0; job < schedule.jobs(); ++job) {
    const auto starts = schedule.starts(job);
    for (int wave = 0; wave < schedule.waves(); ++wave) {
      const auto from = starts.begin() + std::ptrdiff_t{wave} * each;
      MicroBatch batch;
      batch.path.assign(schedule.path(job), schedule.path(job) + p.path_length);
      batch.starts.assign(from, from + each);
      const int last = job * schedule.operations_per_job() + (wave + 1) * each - 1;  // B on p0
      for (int k = 0; p.weight_factor && k < p.path_length; ++k) {
        batch.weight_starts.push_back(weights[last - k]);
      }
      out.micro_batches.push_back(std::move(batch));
    }
  }
  out.makespan_s = schedule.makespan();
  out.iteration_s = schedule.iteration();
  out.reduce_s = schedule.max_reduction();
  return out;
}

Json to_json(const Solution& solution) {
  Json out;
  out["arrangement"] = solution.arrangement;
  out["micro_batches"] = Json::array();
  for (const auto& batch : solution.micro_batches) {
    auto& one = out["micro_batches"].emplace_back();
    one["path"] = batch.path;
    one["starts"] = batch.starts;
    if (!batch.weight_starts.empty()) one["weight_starts"] = batch.weight_starts;
  }
  out["makespan_s"] = solution.makespan_s;
  out["iteration_s"] = solution.iteration_s;
  out["lower_bound_s"] = solution.lower_bound_s;
  out["gap_percent"] = solution.gap_percent;
  out["reduce_s"] = solution.reduce_s;
  out["evaluations"] = solution.evaluations;
  out["solve_s"] = solution.solve_s;
  return out;
}

Solution solution_from_json(const Json& json, const Problem& p, const std::string& where) {
  Solution out;
  try {
    json.at("arrangement").get_to(out.arrangement);
    for (const auto& batch : json.at("micro_batches")) {
      out.micro_batches.push_back(
          {batch.at("path").get<List<int>>(), batch.at("starts").get<List<double>>()});
      if (p.weight_factor) batch.at("weight_starts").get_to(out.micro_batches.back().weight_starts);
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kRecipe, fmt::format("{}: is no solution: {}", where, error.what()));
  }
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kRecipe, fmt::format("{}: does not fit the problem: {}", where, what));
  };
  std::set<int> seen;
  List<int> sizes;
  for (const auto& group : out.arrangement) {
    sizes.push_back(static_cast<int>(group.size()));
    for (const int node : group) {
      if (node < 0 || node >= p.size() || !seen.insert(node).second) fail("its arrangement");
    }
  }
  if (sizes != p.stage_sizes) fail("the sizes of its stages");
  if (static_cast<int>(out.micro_batches.size()) != p.micro_batches()) fail("its micro-batches");
  const Arrangement arrangement(out.arrangement);
  for (int i = 0; i < out.micro_batches.count(); ++i) {
    const auto& [path, starts, weight_starts] = out.micro_batches[i];
    if (static_cast<int>(path.size()) != p.path_length) fail("the length of a path");
    if (static_cast<int>(starts.size()) != p.operations_per_path()) fail("the starts of a path");
    if (weight_starts.count() != (p.weight_factor ? p.path_length : 0)) {
      fail("the weight_starts of a path");
    }
    List<int> stages;
    for (const int node : path) {
      if (!seen.contains(node)) fail("a node of a path");
      stages.push_back(arrangement.stage_of(node));
    }
    const int source = arrangement.group(0)[i / p.micro_batches_per_source];
    if (path.front() != source) fail("the source of a micro-batch");
    if (!path_allowed(p.rules, stages.data(), p.path_length)) fail("the stages of a path");
  }
  return out;
}

namespace {

/// How many W's a solution has in front of each operation.
List<std::uint8_t> urgent_of(const Problem& p, const Solution& solution) {
  const int each = p.operations_per_path();
  List<std::uint8_t> out = filled(solution.micro_batches.count() * each, std::uint8_t{0});
  // Per node: its operations and (-1) its W's, by start.
  List<List<std::pair<double, int>>> on_node(p.nodes.size());
  for (int job = 0; job < solution.micro_batches.count(); ++job) {
    const auto& [path, starts, weight_starts] = solution.micro_batches[job];
    for (int k = 0; k < each; ++k) {
      const int l = p.path_length;
      const int node = k < l ? path[k] : k == l ? p.loss_node(path.data()) : path[2 * l - k];
      on_node[node].emplace_back(starts[k], job * each + k);
    }
    for (int k = 0; k < p.path_length; ++k) on_node[path[k]].emplace_back(weight_starts[k], -1);
  }
  for (auto& list : on_node) {
    std::sort(list.begin(), list.end());
    int weights = 0;
    for (const auto& [start, operation] : list) {
      if (operation < 0) {
        ++weights;
        continue;
      }
      out[operation] = static_cast<std::uint8_t>(std::min(weights, 255));
      weights = 0;
    }
  }
  return out;
}

}  // namespace

Draft draft_of(const Problem& p, const Solution& solution) {
  Draft out{Arrangement(solution.arrangement), {}, {}};
  if (p.weight_factor) out.urgent = urgent_of(p, solution);
  List<std::pair<double, std::uint16_t>> entries;
  for (std::size_t job = 0; job < solution.micro_batches.size(); ++job) {
    out.paths.push_back(solution.micro_batches[job].path);
    for (int k = 0; k < p.operations_per_path(); ++k) {
      entries.emplace_back(solution.micro_batches[job].starts[k], static_cast<std::uint16_t>(job));
    }
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [start, job] : entries) out.order.push_back(job);
  return out;
}

}  // namespace rw::planner
