// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "pipeline/trainer.h"

namespace rw::pipeline {

/// The memory that one rank's tensors take at most in a training step.
struct RankMemory {
  std::int64_t peak_bytes = 0;  // the arena's size: the parts, and what lies between blocks
  /// What is live at the peak: weights, gradients, optimizer, activations, logits, …; all rounded to
  /// the arena's unit. "gaps": what lies between blocks.
  std::map<std::string, std::int64_t> parts;
};

/// A dry run (core/dry_run.h) of the trainer that make_trainer would make of `plans` for this rank of
/// dp·pp ranks, two steps of each plan: the same code, hence the same lifetimes, for any plan and any options.
/// Reads rows of the first steps, prefetch_steps ahead, and no weights. Costs milliseconds a step and little
/// memory. Not foreseen: what a rank keeps longer when it leaves the planned order with recompute.
/// Throws what make_trainer throws.
RankMemory predict_memory(const TrainerOptions& options,
                          std::shared_ptr<const data::Corpora> corpora,
                          std::shared_ptr<const data::Order> order, std::int64_t prefetch_steps,
                          int rank, const PlanCycle& plans);

}  // namespace rw::pipeline
