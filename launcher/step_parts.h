// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/method.h"
#include "core/op_times.h"

namespace rw::launcher {

/// One part of a step. All times are seconds of one step.
struct StepPart {
  std::string name;
  double seconds = 0;
  double limit_seconds = 0;  // no implementation on this machine takes less; 0: not known
};

/// What one step gave on this rank.
struct StepSample {
  double seconds = 0;
  core::StepResult result;
  core::OpTimes ops;
};

/// What the parts are held against; of one step on this rank.
struct StepLimits {
  double gemm_seconds = 0;
  double attention_seconds = 0;
  double bytes_per_second = 0;  // of memory
};

/// The parts of the median step, in the order in which people want to read them: matrix products,
/// attention, the other kernels one by one, optimizer, clipping, waiting for data, for the network,
/// and the rest; the last one is the whole, named "step". The mean over the ranks, the same on all.
/// Collective; samples not empty.
std::vector<StepPart> step_parts(std::vector<StepSample> samples, const StepLimits& limits,
                                 comm::Communicator& world);

}  // namespace rw::launcher
