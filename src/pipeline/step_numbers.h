// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "pipeline/executor.h"
#include "pipeline/plan.h"

namespace rw::pipeline {

/// Of one stage on one rank in one step.
struct StageNumbers {
  double squares = 0;     // sum of squares of the gradients that the rank owns, as accumulated
  double forward_s = 0;   // what its forwards took, all micro-batches together
  double backward_s = 0;  // and its backwards
};

/// What all ranks know when a step's gradients are summed.
struct StepNumbers {
  std::vector<double> loss_sums, loss_tokens;     // per micro-batch
  std::vector<std::vector<StageNumbers>> stages;  // per rank, as plan.stages_of_rank
  std::vector<double> busy_ns, elapsed_ns;        // per rank
  double raised = 0;                              // flags, added up
  /// Real targets of the global batch; and of those micro-batches that visit each stage.
  double tokens() const;
  std::vector<double> tokens_of_stages(const Plan& plan) const;
  /// Nats per real target; 0 when there is none.
  double loss() const;
  /// Percent of the longest rank's time in which the mean rank does not compute.
  double bubble_pct() const;
};

/// Forward and backward time per stage of this rank's list; squares stay 0.
std::vector<StageNumbers> stage_times(const Plan& plan, int rank, const RankTimes& times);

/// Everything in one sum over the ranks, added in rank order. `mine`: per stage that this rank holds.
/// Collective; (2 · micro-batches + 3 · stages held + 2 · ranks + 1) numbers travel.
StepNumbers exchange(const Plan& plan, comm::Communicator& world, const Execution& so_far,
                     const std::vector<StageNumbers>& mine, bool flag);

}  // namespace rw::pipeline
