// Part of Ropewalk, MIT licence.
#include "pipeline/memory.h"

#include <algorithm>
#include <utility>

#include "comm/dry.h"
#include "core/dry_run.h"

namespace rw::pipeline {
namespace {

/// The parameters of one rank alone, as all that its trainer asks for.
Layout of_rank(const Layout& layout, int rank) {
  Layout out;
  out.stages = layout.stages;
  std::copy_if(layout.params.begin(), layout.params.end(), std::back_inserter(out.params),
               [&](const ParamLayout& param) {
                 return std::binary_search(param.ranks.begin(), param.ranks.end(), rank);
               });
  return out;
}

}  // namespace

RankMemory predict_memory(const TrainerOptions& options, std::int64_t prefetch_steps, int rank,
                          const PlanCycle& plans, const Layout& layout) {
  core::DryRun dry;
  TrainerOptions on_nothing = options;
  on_nothing.model.from.clear();
  on_nothing.emulation.reset();
  const auto world =
      comm::make_dry(rank, static_cast<int>(options.parallel.dp * options.parallel.pp));
  const Layout mine = of_rank(layout, rank);
  TrainerParts parts{*world, nullptr, nullptr};
  parts.loader_threads = 1;
  parts.prefetch_steps = prefetch_steps;
  parts.layout = &mine;
  const auto trainer = make_trainer(on_nothing, std::move(parts), plans.shortened());
  // What is made in a first step and stays is there from the beginning of the second.
  for (std::size_t n = 1; n <= 2 * plans.plans.size(); ++n) {
    trainer->step(static_cast<std::int64_t>(n));
  }
  RankMemory out;
  out.peak_bytes = static_cast<std::int64_t>(dry.arena_bytes());
  std::int64_t gaps = out.peak_bytes;
  for (const auto& [what, bytes] : dry.at_peak()) {
    if (bytes == 0) continue;
    out.parts[what] = static_cast<std::int64_t>(bytes);
    gaps -= static_cast<std::int64_t>(bytes);
  }
  out.parts["gaps"] = gaps;
  return out;
}

RankMemory predict_memory(const TrainerOptions& options, std::int64_t prefetch_steps, int rank,
                          const PlanCycle& plans) {
  return predict_memory(
      options, prefetch_steps, rank, plans,
      make_layout(options.model, plans.plans.front(), options.pipeline.stage_split));
}

}  // namespace rw::pipeline
