// Part of Ropewalk, MIT licence.
#pragma once
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/simulate.h"
#include "pipeline/step_numbers.h"
#include "pipeline/walks.h"

namespace rw::pipeline {

/// How fast every rank goes: exponentially weighted means of what its forwards and backwards took, per
/// stage and micro-batch. The same numbers give the same state, so all ranks can keep one alike. The
/// first step is left out: it makes buffers and primitives.
class Pace {
 public:
  /// `weight` of the newest step, 0 < w <= 1.
  explicit Pace(double weight = 0.3) : weight_(weight) {}
  void add(const Plan& plan, const StepNumbers& numbers);
  /// Steps that count.
  int steps() const { return steps_; }
  /// Seconds of forwards and backwards of one step of `plan`, by rank, as measured.
  std::vector<double> busy_s(const Plan& plan) const;
  /// For simulate(): forward, backward (halved where it is planned in two parts); messages, reduces
  /// and the update cost nothing here.
  CostFunctions costs(const Plan& plan) const;
  /// For planners of paths: forward of the rank's first stage, one backward factor and one loss factor
  /// for all; no transfers. A rank that saw no micro-batch takes what the mean rank takes.
  WalkCosts walk_costs(const Plan& plan) const;

 private:
  struct Mean {
    double forward_s = 0, backward_s = 0;  // of one micro-batch
    bool known = false;
  };
  double length(const Plan& plan, int rank, const Operation& op) const;
  double weight_;
  int seen_ = 0;
  int steps_ = 0;
  std::vector<std::vector<Mean>> means_;  // per rank, as plan.stages_of_rank
};

/// The seconds that plan.predicted gives each rank's forwards and backwards; empty when it has none.
std::vector<double> predicted_busy_s(const Plan& plan);
/// The largest |measured / predicted − 1| of any rank that is expected to do anything, and that rank.
struct Disagreement {
  double share = 0;
  int rank = -1;
};
Disagreement disagreement(const std::vector<double>& predicted_s,
                          const std::vector<double>& measured_s);

}  // namespace rw::pipeline
