// Part of Ropewalk, MIT licence.
#include "pipeline/placement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace rw::pipeline {

int rank_of(const Problem& problem, int micro_batch, int stage) {
  return micro_batch % problem.dp * problem.pp + stage % problem.pp;
}

std::vector<std::vector<int>> place_stages(const Problem& problem) {
  std::vector<std::vector<int>> out(static_cast<std::size_t>(problem.ranks()));
  for (int rank = 0; rank < problem.ranks(); ++rank) {
    for (int chunk = 0; chunk < problem.chunks; ++chunk) {
      out[static_cast<std::size_t>(rank)].push_back(chunk * problem.pp + rank % problem.pp);
    }
  }
  return out;
}

std::vector<std::vector<Visit>> straight_paths(const Problem& problem) {
  std::vector<std::vector<Visit>> out(static_cast<std::size_t>(problem.micro_batches));
  for (int m = 0; m < problem.micro_batches; ++m) {
    for (int stage = 0; stage < problem.stages(); ++stage) {
      out[static_cast<std::size_t>(m)].push_back({stage, rank_of(problem, m, stage)});
    }
  }
  return out;
}

std::vector<std::pair<std::int64_t, std::int64_t>> stage_layers(
    std::int64_t layers, int stages, const std::vector<std::int64_t>& split) {
  if (layers < stages) {
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("parallel.pp: got {} stages for {} layers; want at least one "
                                  "layer per stage; try fewer ranks or chunks",
                                  stages, layers));
  }
  std::vector<std::int64_t> sizes = split;
  if (sizes.empty()) {
    for (int stage = 0; stage < stages; ++stage) {
      sizes.push_back(layers / stages + (stage < layers % stages ? 1 : 0));
    }
  }
  const auto sum = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  const bool positive =
      std::all_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size > 0; });
  if (static_cast<int>(sizes.size()) != stages || sum != layers || !positive) {
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("pipeline.stage_split: got [{}]; want {} positive numbers of "
                                  "layers that add up to {}; leave it out for an even split",
                                  fmt::join(sizes, ", "), stages, layers));
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> out;
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    out.emplace_back(begin, begin + size);
    begin += size;
  }
  return out;
}

}  // namespace rw::pipeline
