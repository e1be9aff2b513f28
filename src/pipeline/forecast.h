// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/memory.h"
#include "pipeline/plan_cycle.h"
#include "pipeline/trainer.h"

namespace rw::pipeline {

/// What ranks that do the same with the same parameters have in common.
struct RankKind {
  RankMemory memory;
  std::int64_t parameters = 0;
};

/// What a job asks of its ranks, before any of them runs.
struct Forecast {
  int stages = 0;
  bool head_alone = false;
  std::int64_t micro_batches = 0;
  std::int64_t parameters = 0;  // of the whole model
  double bubble = 0;  // share of a step in which the mean rank neither computes nor reduces
  std::vector<RankKind> kinds;
  std::vector<std::size_t> kind_of_rank;
};

/// Up to which size a job is planned and run as a whole.
struct ForecastLimits {
  std::int64_t visits = std::int64_t{1} << 16;        // of micro-batches at stages
  std::int64_t layer_visits = std::int64_t{1} << 15;  // at layers, by ranks that run for themselves
  std::int64_t comparisons = std::int64_t{1} << 27;   // of the scheduler that skips
};

/// Plans of a job: `given` (read from files; sound), or else those that options.parallel and
/// options.pipeline ask for, whatever the size: a job of 4000 ranks, 405B parameters and 400,000 micro-batches
/// takes seconds and little memory.
///
/// Small jobs: the plan is made as training makes it, and each kind of rank makes a dry run of it (memory.h),
/// byte for byte. Large ones: replicas are alike, so one stands for all, and its steps repeat themselves once the
/// pipeline is full: what does not change with a few micro-batches more is exact, and what grows goes on as it
/// does at the largest counts that are run, time and live blocks exactly where they grow evenly, gaps between
/// blocks about. Plans that skip have a rhythm of their own, and their replicas share
/// micro-batches, so that of these one by itself is an estimate; with sharded
/// optimizer state the first replica, whose share is the largest by up to 64 bytes a tensor, stands for all.
/// Throws what plans_for and predict_memory throw.
Forecast forecast(const TrainerOptions& options, std::int64_t prefetch_steps,
                  const std::optional<PlanCycle>& given, const ForecastLimits& limits = {});

}  // namespace rw::pipeline
