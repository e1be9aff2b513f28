// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/problem.h"

namespace rw::pipeline {

struct OperationRef {
  int rank = 0;
  int index = 0;  // in the rank's list
  bool operator==(const OperationRef&) const = default;
};

/// A receive lasts from when its rank comes to it until the message is there.
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

/// What an operation takes on its rank (messages: how long they keep their sender's link busy), and how
/// long a message is under way from one rank to another.
struct CostFunctions {
  std::function<double(int rank, const Operation& op)> operation;
  std::function<double(int from, int to)> transfer;
};
Timeline simulate(const Plan& plan, const CostFunctions& costs);

}  // namespace rw::pipeline
