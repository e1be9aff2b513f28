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
  for (int job = 0; job < schedule.jobs(); ++job) {
    const auto starts = schedule.starts(job);
    for (int wave = 0; wave < schedule.waves(); ++wave) {
      const auto from = starts.begin() + std::ptrdiff_t{wave} * each;
      MicroBatch batch;
      batch.path.assign(schedule.path(job), schedule.path(job) + p.path_length);
      batch.starts.assign(from, from + each);
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
    out["micro_batches"].push_back({{"path", batch.path}, {"starts", batch.starts}});
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
    const auto& [path, starts] = out.micro_batches[i];
    if (static_cast<int>(path.size()) != p.path_length) fail("the length of a path");
    if (static_cast<int>(starts.size()) != p.operations_per_path()) fail("the starts of a path");
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

Draft draft_of(const Problem& p, const Solution& solution) {
  Draft out{Arrangement(solution.arrangement), {}, {}};
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
