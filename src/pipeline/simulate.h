// Part of Ropewalk, MIT licence.
#pragma once
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/problem.h"

namespace rw::pipeline {

/// When an operation runs; a receive lasts from when the rank comes to it until the message is
/// there.
struct Span {
  double begin = 0;
  double end = 0;
};

struct OperationRef {
  int rank = 0;
  int index = 0;  // in the rank's list
  bool operator==(const OperationRef&) const = default;
};

struct Timeline {
  std::vector<std::vector<Span>> spans;  // per rank, per operation
  double makespan = 0;
  /// Per rank: share of the makespan in which it neither computes nor reduces, 0..1.
  std::vector<double> bubble;
  /// The chain of operations that sets the makespan, first to last: each begins when the one before
  /// it ends (or when its message arrives).
  std::vector<OperationRef> critical_path;
  double mean_bubble() const;
};

/// Predicted times of a sound plan: every rank goes through its list in order. A send costs the rank
/// nothing; its message waits until those that the rank sent before are out, keeps the rank's link
/// busy for costs.message and arrives costs.transfer later, whatever the buffers. The update starts
/// when all ranks are there. Throws Error{kBug} when the plan cannot be run to its end.
Timeline simulate(const Plan& plan, const Costs& costs);

}  // namespace rw::pipeline
