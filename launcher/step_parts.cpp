// Part of Ropewalk, MIT licence.
#include "launcher/step_parts.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

namespace rw::launcher {
namespace {

constexpr double kNanosPerSecond = 1e9;
constexpr double kMillisPerSecond = 1e3;

const char* part_name(core::Op op) {
  switch (op) {
    case core::Op::kMatmul:
      return "gemm";
    case core::Op::kAttention:
      return "attention";
    case core::Op::kRmsNorm:
      return "rms_norm";
    case core::Op::kRope:
      return "rope";
    case core::Op::kSwiglu:
      return "swiglu";
    case core::Op::kEmbedding:
      return "embedding";
    case core::Op::kCrossEntropy:
      return "cross_entropy";
    case core::Op::kElementwise:
      return "element-wise";
    case core::Op::kAdamw:
      return "optimizer";
    case core::Op::kReduce:
      return "gradient norm";
    case core::Op::kNarrowMatmul:  // the last two serve decoding alone
    case core::Op::kDecode:
    case core::Op::kCount:
      break;
  }
  return "?";
}

/// The sample with the median time; of an even number the faster one in the middle.
StepSample median_sample(std::vector<StepSample> samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>((samples.size() - 1) / 2);
  std::nth_element(samples.begin(), middle, samples.end(),
                   [](const StepSample& a, const StepSample& b) { return a.seconds < b.seconds; });
  return *middle;
}

/// Kernels other than these two move memory, and that is their limit.
double limit_of(core::Op op, double bytes, const StepLimits& limits) {
  if (op == core::Op::kMatmul) return limits.gemm_seconds;
  if (op == core::Op::kAttention) return limits.attention_seconds;
  if (op == core::Op::kEmbedding) return 0;  // touches some rows of its table
  return bytes / limits.bytes_per_second;
}

std::vector<StepPart> parts_of(const StepSample& sample, const StepLimits& limits) {
  using core::Op;
  std::vector<StepPart> out;
  for (const Op op :
       {Op::kMatmul, Op::kAttention, Op::kRmsNorm, Op::kRope, Op::kSwiglu, Op::kCrossEntropy,
        Op::kEmbedding, Op::kElementwise, Op::kAdamw, Op::kReduce}) {
    const core::OpTime& one = sample.ops.of[static_cast<std::size_t>(op)];
    out.push_back({part_name(op), static_cast<double>(one.ns) / kNanosPerSecond,
                   limit_of(op, static_cast<double>(one.bytes), limits)});
  }
  out.push_back({"data wait", sample.result.data_wait_ms / kMillisPerSecond});
  out.push_back({"exposed communication", sample.result.comm_exposed_ms / kMillisPerSecond});
  StepPart rest{"rest", sample.seconds};
  StepPart step{"step", sample.seconds};
  for (const auto& part : out) {
    rest.seconds -= part.seconds;
    step.limit_seconds += part.limit_seconds;
  }
  out.push_back(rest);
  out.push_back(step);
  return out;
}

}  // namespace

std::vector<StepPart> step_parts(std::vector<StepSample> samples, const StepLimits& limits,
                                 comm::Communicator& world) {
  auto parts = parts_of(median_sample(std::move(samples)), limits);
  std::vector<double> numbers;
  for (const auto& part : parts) {
    numbers.push_back(part.seconds);
    numbers.push_back(part.limit_seconds);
  }
  world.all_reduce_sum(std::span<double>(numbers)).wait();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].seconds = numbers[2 * i] / world.size();
    parts[i].limit_seconds = numbers[2 * i + 1] / world.size();
  }
  return parts;
}

}  // namespace rw::launcher
