// Part of Ropewalk, MIT licence.
#include "pipeline/memory.h"

#include <utility>

#include "comm/dry.h"
#include "core/dry_run.h"

namespace rw::pipeline {

RankMemory predict_memory(const TrainerOptions& options,
                          std::shared_ptr<const data::Corpora> corpora,
                          std::shared_ptr<const data::Order> order, std::int64_t prefetch_steps,
                          int rank, const PlanCycle& plans) {
  core::DryRun dry;
  TrainerOptions on_nothing = options;
  on_nothing.model.from.clear();
  on_nothing.emulation.reset();
  const auto world =
      comm::make_dry(rank, static_cast<int>(options.parallel.dp * options.parallel.pp));
  TrainerParts parts{*world, std::move(corpora), std::move(order)};
  parts.loader_threads = 1;
  parts.prefetch_steps = prefetch_steps;
  const auto trainer = make_trainer(on_nothing, std::move(parts), plans.shortened());
  // What is made in a first step and stays is there from the beginning of the second.
  for (std::size_t n = 1; n <= 2 * plans.plans.size(); ++n) {
    trainer->step(static_cast<std::int64_t>(n));
  }
  RankMemory out;
  out.peak_bytes = static_cast<std::int64_t>(dry.memory().arena_bytes);
  std::int64_t gaps = out.peak_bytes;
  for (const auto& [what, bytes] : dry.at_peak()) {
    if (bytes == 0) continue;
    out.parts[what] = static_cast<std::int64_t>(bytes);
    gaps -= static_cast<std::int64_t>(bytes);
  }
  out.parts["gaps"] = gaps;
  return out;
}

}  // namespace rw::pipeline
