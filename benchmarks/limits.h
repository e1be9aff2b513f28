// Part of Ropewalk, MIT licence.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/matmul/matmul.h"

/// What this machine reaches on what no kernel can beat, measured when first asked for with the
/// threads in use. Benchmarks report their share of it: 1 is the limit.
namespace rw::bench {

using core::Stream;
using core::Tensor;

inline Tensor random(const core::Shape& shape, float std = 1.0F) {
  Tensor out = Tensor::empty(shape);
  std::vector<float> values(static_cast<std::size_t>(shape.elems()));
  std::uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = std * (static_cast<float>(state >> 8) / 8388608.0F - 1.0F);
  }
  core::copy_from_host(values.data(), out.bytes(), out);
  return out;
}

/// Least seconds of `calls` calls, after one to warm up.
template <class Call>
double best_seconds(int calls, const Call& call) {
  using Clock = std::chrono::steady_clock;
  call();
  double best = 1e30;
  for (int i = 0; i < calls; ++i) {
    const auto begin = Clock::now();
    call();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

/// Bytes per second of x *= 1 over 512 MiB, each byte read once and written once.
inline double peak_bandwidth() {
  static const double kPeak = [] {
    Tensor x = Tensor::zeros({std::int64_t{128} << 20});
    Stream stream;
    const double seconds = best_seconds(5, [&] { kernels::scale(x, 1.0F, stream); });
    return 2.0 * static_cast<double>(x.bytes()) / seconds;
  }();
  return kPeak;
}

/// Operations per second of a square product of 2048.
inline double peak_flops() {
  static const double kPeak = [] {
    const std::int64_t n = 2048;
    const Tensor a = random({n, n});
    const Tensor b = random({n, n});
    Tensor c = Tensor::empty({n, n});
    Stream stream;
    const double seconds = best_seconds(5, [&] { kernels::matmul(a, b, c, {}, stream); });
    return 2.0 * static_cast<double>(n * n * n) / seconds;
  }();
  return kPeak;
}

/// Counters: operations (or bytes) per second and their share of the measured peak.
inline void report_flops(benchmark::State& state, double flops) {
  using benchmark::Counter;
  state.counters["flop/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] = Counter(flops / peak_flops(), Counter::kIsIterationInvariantRate);
}
inline void report_bytes(benchmark::State& state, double bytes) {
  using benchmark::Counter;
  state.counters["bytes/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::kIs1024);
  state.counters["of_peak"] = Counter(bytes / peak_bandwidth(), Counter::kIsIterationInvariantRate);
}

}  // namespace rw::bench
