// Part of Ropewalk, MIT licence.
#include "planner/solution.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"
#include "planner/field.h"

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

namespace {

Json batches_to_json(const List<MicroBatch>& batches) {
  Json out = Json::array();
  for (const auto& batch : batches) {
    auto& one = out.emplace_back();
    one["path"] = batch.path;
    one["starts"] = batch.starts;
    if (!batch.weight_starts.empty()) one["weight_starts"] = batch.weight_starts;
  }
  return out;
}

Json further_to_json(const FurtherPlan& plan) {
  Json out;
  out["micro_batches"] = batches_to_json(plan.micro_batches);
  out["makespan_s"] = plan.makespan_s;
  out["iteration_s"] = plan.iteration_s;
  out["lower_bound_s"] = plan.lower_bound_s;
  return out;
}

List<int> nodes_from(const Field& in, const Problem& p) {
  List<int> out;
  for (const auto& node : in.list(Field::kAny, "nodes")) out.push_back(node.whole(0, p.size() - 1));
  return out;
}

List<double> starts_from(const Field& in) {
  List<double> out;
  for (const auto& start : in.list(Field::kAny, "starts")) out.push_back(start.number(0));
  return out;
}

List<MicroBatch> batches_from(const Field& in, const Problem& p) {
  List<MicroBatch> out;
  for (const auto& batch : in.list(Field::kAny, "micro-batches")) {
    out.push_back({nodes_from(batch.at("path"), p), starts_from(batch.at("starts"))});
    if (p.weight_factor) out.back().weight_starts = starts_from(batch.at("weight_starts"));
  }
  return out;
}

/// "" or what of the micro-batches does not fit the problem.
std::string misfit(const List<MicroBatch>& batches, const Problem& p,
                   const Arrangement& arrangement) {
  if (batches.count() != p.micro_batches()) return "its micro-batches";
  for (int i = 0; i < batches.count(); ++i) {
    const auto& [path, starts, weight_starts] = batches[i];
    if (path.count() != p.path_length) return "the length of a path";
    if (starts.count() != p.operations_per_path()) return "the starts of a path";
    if (weight_starts.count() != (p.weight_factor ? p.path_length : 0)) {
      return "the weight_starts of a path";
    }
    List<int> stages;
    for (const int node : path) {
      if (node < 0 || node >= p.size()) return "a node of a path";
      stages.push_back(arrangement.stage_of(node));
    }
    const int source = arrangement.group(0)[i / p.micro_batches_per_source];
    if (path.front() != source) return "the source of a micro-batch";
    if (!path_allowed(p.rules, stages.data(), p.path_length)) return "the stages of a path";
  }
  return "";
}

}  // namespace

Json to_json(const Solution& solution) {
  Json out;
  out["arrangement"] = solution.arrangement;
  out["micro_batches"] = batches_to_json(solution.micro_batches);
  out["makespan_s"] = solution.makespan_s;
  out["iteration_s"] = solution.iteration_s;
  out["lower_bound_s"] = solution.lower_bound_s;
  out["gap_percent"] = solution.gap_percent;
  out["reduce_s"] = solution.reduce_s;
  out["evaluations"] = solution.evaluations;
  out["solve_s"] = solution.solve_s;
  for (const auto& plan : solution.rotations) out["rotations"].push_back(further_to_json(plan));
  if (!solution.visits.empty()) out["visits"] = solution.visits;
  if (solution.full) out["full"] = further_to_json(*solution.full);
  if (solution.mean_s > 0) out["mean_s"] = solution.mean_s;
  return out;
}

Solution solution_from_json(const Json& json, const Problem& p, const std::string& where) {
  Solution out;
  const Field in(json, where);
  for (const auto& group : in.at("arrangement").list(Field::kAny, "stages")) {
    out.arrangement.push_back(nodes_from(group, p));
  }
  out.micro_batches = batches_from(in.at("micro_batches"), p);
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kRecipe, fmt::format("{}: does not fit the problem: {}", where, what));
  };
  std::set<int> seen;
  List<int> sizes;
  for (const auto& group : out.arrangement) {
    sizes.push_back(static_cast<int>(group.size()));
    for (const int node : group) {
      if (!seen.insert(node).second) fail("its arrangement");
    }
  }
  if (sizes != p.stage_sizes) fail("the sizes of its stages");
  if (!p.arrangement.empty() && out.arrangement != p.arrangement) {
    fail("its arrangement is not the one that the problem fixes");
  }
  const std::string wrong = misfit(out.micro_batches, p, Arrangement(out.arrangement));
  if (!wrong.empty()) fail(wrong);
  return out;
}

Problem full_problem(const Problem& problem, const List<List<int>>& arrangement) {
  Problem out = problem;
  out.arrangement = arrangement;
  out.path_length = problem.stages();
  out.rules.stage_quota = problem.micro_batches();
  out.full_every = 0;
  out.rotation = 0;
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

Draft draft_of(const Problem& p, const Solution& solution, Track track) {
  Draft out{Arrangement(solution.arrangement), {}, {}};
  if (p.weight_factor) out.urgent = urgent_of(p, solution);
  const int waves = jobs_of(p, track).front().waves;
  List<std::pair<double, std::uint16_t>> entries;
  for (int batch = 0; batch < solution.micro_batches.count(); ++batch) {
    const auto& [path, starts, weight_starts] = solution.micro_batches[batch];
    if (batch % waves == 0) out.paths.push_back(path);
    for (int k = 0; k < p.operations_per_path(); ++k) {
      entries.emplace_back(starts[k], static_cast<std::uint16_t>(batch / waves));
    }
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [start, job] : entries) out.order.push_back(job);
  return out;
}

}  // namespace rw::planner
