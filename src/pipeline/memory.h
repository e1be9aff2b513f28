// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "pipeline/layout.h"
#include "pipeline/plan_cycle.h"
#include "pipeline/trainer.h"

namespace rw::pipeline {

/// The memory that one rank's tensors take at most in a training step.
struct RankMemory {
  std::int64_t peak_bytes = 0;  // the arena's size: the parts, and what lies between blocks
  /// What is live at the peak: weights, gradients, optimizer, activations, logits, …; all rounded to
  /// the arena's unit. "gaps": what lies between blocks.
  std::map<std::string, std::int64_t> parts;
  bool operator==(const RankMemory&) const = default;
};

/// A dry run (core/dry_run.h) of the trainer that make_trainer would make of `plans` for this rank of
/// dp·pp ranks, two steps of each plan: the same code, hence the same lifetimes, for any plan and any options.
/// Of the plans only what this rank does is looked at; `layout`: theirs, at least with this rank's parameters.
/// Reads neither rows nor weights, and needs next to no memory; costs microseconds per layer and micro-batch.
/// Not foreseen: what a rank keeps longer when it leaves the planned order with recompute. Throws Error{kRecipe}
/// where a rank would need more than 2^61 bytes.
RankMemory predict_memory(const TrainerOptions& options, std::int64_t prefetch_steps, int rank,
                          const PlanCycle& plans, const Layout& layout);
/// The same with the layout that the plans have.
RankMemory predict_memory(const TrainerOptions& options, std::int64_t prefetch_steps, int rank,
                          const PlanCycle& plans);

}  // namespace rw::pipeline
