// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "core/method.h"
#include "data/corpus.h"
#include "data/order.h"
#include "data/validation.h"
#include "metrics/timeline.h"
#include "metrics/trace.h"
#include "model/options.h"
#include "optim/options.h"
#include "pipeline/emulation.h"
#include "pipeline/layout.h"
#include "pipeline/options.h"
#include "pipeline/plan_cycle.h"
#include "pipeline/replanner.h"

namespace rw::pipeline {

struct TrainerOptions {
  model::Options model;  // resolved
  optim::Options optimizer;
  optim::ScheduleOptions schedule;
  ParallelOptions parallel;
  Options pipeline;
  std::optional<Emulation> emulation;  // of pipeline: make_emulation
  std::uint64_t seed = 0;
  std::int64_t seq_len = 0;
  std::int64_t micro_batch_size = 1;
  std::int64_t global_batch_size = 1;  // rows; a multiple of micro_batch_size
  std::int64_t max_steps = 0;
  double clip_grad_norm = 1;                // 0: off
  core::DType compute = core::DType::kF32;  // or kBF16: Params::compute_in_bf16
  model::RecomputeOptions recompute;
  core::Device device;
  std::int64_t timeline_interval = 0;  // steps between two calls of TrainerParts::timeline; 0: none
};

struct TrainerParts {
  comm::Communicator& world;                     // outlives the trainer
  std::shared_ptr<const data::Corpora> corpora;  // shared with the launcher
  std::shared_ptr<const data::Order> order;
  std::int64_t loader_threads = 2;
  std::int64_t prefetch_steps = 4;
  std::unique_ptr<data::Validation> validation = nullptr;  // may be null
  metrics::Trace* trace = nullptr;                         // outlives the trainer; may be null
  /// On rank 0, from the training thread, after step 2 and every timeline_interval-th.
  std::function<void(const metrics::StepTimeline&)> timeline = nullptr;
  /// Makes new plans when options.pipeline.replan_share asks for it. On rank 0.
  Replan replan = nullptr;
  /// Something that people want to know, on rank 0.
  std::function<void(const std::string&)> note = nullptr;
  /// Of the plans, where the caller has made it already; at least the parameters of this rank.
  const Layout* layout = nullptr;
};

/// The method `pipeline`: backprop over the plan that options.pipeline.schedule asks for, on dp·pp
/// ranks. Collective. Starts from random weights, or from those in options.model.from. Throws
/// Error{kRecipe} on numbers that make no plan.
std::unique_ptr<core::Method> make_trainer(const TrainerOptions& options, TrainerParts parts);
/// The same with plans of the caller's own: any sound ones (plan_check.h) over dp·pp ranks, one path
/// per micro-batch of the global batch, that may take turns. In a dry run (core/dry_run.h) they are not
/// judged and need only have what this rank does.
std::unique_ptr<core::Method> make_trainer(const TrainerOptions& options, TrainerParts parts,
                                           PlanCycle plans);

}  // namespace rw::pipeline
