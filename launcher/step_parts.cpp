// Part of Ropewalk, MIT licence.
#include "launcher/step_parts.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>

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
    case core::Op::kCount:
      break;
  }
  return "?";
}

double median_of(const std::vector<StepSample>& samples,
                 const std::function<double(const StepSample&)>& value) {
  std::vector<double> values;
  values.reserve(samples.size());
  for (const auto& sample : samples) values.push_back(value(sample));
  return median(std::move(values));
}

/// Kernels other than these two move memory, and that is their limit.
double limit_of(core::Op op, double bytes, const StepLimits& limits) {
  if (op == core::Op::kMatmul) return limits.gemm_seconds;
  if (op == core::Op::kAttention) return limits.attention_seconds;
  if (op == core::Op::kEmbedding) return 0;  // touches some rows of its table
  return bytes / limits.bytes_per_second;
}

std::vector<StepPart> parts_here(const std::vector<StepSample>& samples, const StepLimits& limits) {
  using core::Op;
  std::vector<StepPart> out;
  for (const Op op :
       {Op::kMatmul, Op::kAttention, Op::kRmsNorm, Op::kRope, Op::kSwiglu, Op::kCrossEntropy,
        Op::kEmbedding, Op::kElementwise, Op::kAdamw, Op::kReduce}) {
    const auto at = static_cast<std::size_t>(op);
    const double bytes = median_of(
        samples, [at](const StepSample& one) { return static_cast<double>(one.ops.of[at].bytes); });
    const double seconds = median_of(samples, [at](const StepSample& one) {
      return static_cast<double>(one.ops.of[at].ns) / kNanosPerSecond;
    });
    out.push_back({part_name(op), seconds, limit_of(op, bytes, limits)});
  }
  out.push_back({"data wait", median_of(samples, [](const StepSample& one) {
                   return one.result.data_wait_ms / kMillisPerSecond;
                 })});
  out.push_back({"exposed communication", median_of(samples, [](const StepSample& one) {
                   return one.result.comm_exposed_ms / kMillisPerSecond;
                 })});
  const double step = median_of(samples, [](const StepSample& one) { return one.seconds; });
  double rest = step;
  for (const auto& part : out) rest -= part.seconds;
  out.push_back({"rest", std::max(0.0, rest)});
  double least = 0;
  for (const auto& part : out) least += part.limit_seconds;
  out.push_back({"step", step, least});
  return out;
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<StepPart> step_parts(const std::vector<StepSample>& samples, const StepLimits& limits,
                                 comm::Communicator& world) {
  auto parts = parts_here(samples, limits);
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
