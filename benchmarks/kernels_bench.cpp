// Part of Ropewalk, MIT licence.
// Kernels of the 34 M-parameter LLaMA (hidden 512, 8 heads, intermediate 1408, vocabulary 8192) on
// 2048 tokens, against the machine: products against a large square one, the rest against memory
// bandwidth. Threads: OMP_NUM_THREADS.
#include <benchmark/benchmark.h>

#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/register.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"
#include "limits.h"

namespace rw::bench {
namespace {

constexpr std::int64_t kRows = 2048;
constexpr std::int64_t kHidden = 512;
constexpr std::int64_t kInner = 1408;
constexpr std::int64_t kVocab = 8192;

double bytes_of(std::initializer_list<const Tensor*> tensors) {
  double sum = 0;
  for (const Tensor* tensor : tensors) sum += static_cast<double>(tensor->bytes());
  return sum;
}

/// Arguments: 0 forward, 1 input gradient, 2 weight gradient; in; out.
void linear(benchmark::State& state) {
  const std::int64_t in = state.range(1);
  const std::int64_t out = state.range(2);
  const Tensor x = random({kRows, in});
  const Tensor weight = random({out, in});
  const Tensor dy = random({kRows, out});
  Tensor y = Tensor::empty({kRows, out});
  Tensor dx = Tensor::empty({kRows, in});
  Tensor dweight = Tensor::zeros({out, in});
  Stream stream;
  using kernels::Accumulate;
  using kernels::Transpose;
  const kernels::MatmulOptions forward{Transpose::kNo, Transpose::kYes, Accumulate::kNo};
  const kernels::MatmulOptions by_weight{Transpose::kYes, Transpose::kNo, Accumulate::kYes};
  for (auto _ : state) {
    if (state.range(0) == 0) kernels::matmul(x, weight, y, forward, stream);
    if (state.range(0) == 1) kernels::matmul(dy, weight, dx, {}, stream);
    if (state.range(0) == 2) kernels::matmul(dy, x, dweight, by_weight, stream);
  }
  report_flops(state, 2.0 * static_cast<double>(kRows * in * out));
}
BENCHMARK(linear)
    ->ArgNames({"pass", "in", "out"})
    ->ArgsProduct({{0, 1, 2}, {kHidden}, {3 * kHidden, 2 * kInner, kVocab}})
    ->ArgsProduct({{0, 1, 2}, {kInner}, {kHidden}})
    ->UseRealTime();

/// Argument: tokens per sequence.
void attention(benchmark::State& state, bool backward) {
  const std::int64_t tokens = state.range(0);
  const kernels::HeadLayout at{kRows / tokens, tokens, 8, 8, 64};
  const Tensor qkv = random({kRows, at.width()});
  Tensor out = Tensor::empty({kRows, kHidden});
  Tensor lse = Tensor::empty({at.batch, at.heads, tokens});
  const Tensor dout = random({kRows, kHidden});
  Tensor dqkv = Tensor::empty(qkv.shape());
  Stream stream;
  kernels::attention_forward(qkv, out, lse, at, stream);
  for (auto _ : state) {
    if (backward) {
      kernels::attention_backward(qkv, out, lse, dout, dqkv, at, stream);
    } else {
      kernels::attention_forward(qkv, out, lse, at, stream);
    }
  }
  // Two products forward, five backward, over the lower triangle.
  const double product = static_cast<double>(kRows * kHidden) * static_cast<double>(tokens + 1);
  report_flops(state, (backward ? 5 : 2) * product);
}
BENCHMARK_CAPTURE(attention, forward, false)->Arg(256)->Arg(2048)->UseRealTime();
BENCHMARK_CAPTURE(attention, backward, true)->Arg(256)->Arg(2048)->UseRealTime();

void rms_norm_forward(benchmark::State& state) {
  const Tensor x = random({kRows, kHidden});
  const Tensor weight = random({kHidden});
  Tensor y = Tensor::empty(x.shape());
  Tensor rstd = Tensor::empty({kRows});
  Stream stream;
  for (auto _ : state) kernels::rms_norm_forward(x, weight, 1e-6F, y, rstd, stream);
  report_bytes(state, bytes_of({&x, &y}));
}
BENCHMARK(rms_norm_forward)->UseRealTime();

void rms_norm_backward(benchmark::State& state) {
  const Tensor x = random({kRows, kHidden});
  const Tensor weight = random({kHidden});
  const Tensor dy = random(x.shape());
  const Tensor residual = random(x.shape());
  Tensor y = Tensor::empty(x.shape());
  Tensor rstd = Tensor::empty({kRows});
  Tensor dweight = Tensor::zeros({kHidden});
  Stream stream;
  kernels::rms_norm_forward(x, weight, 1e-6F, y, rstd, stream);
  for (auto _ : state) {
    kernels::rms_norm_backward(dy, x, weight, rstd, residual, y, dweight, stream);
  }
  report_bytes(state, bytes_of({&dy, &x, &residual, &y}));
}
BENCHMARK(rms_norm_backward)->UseRealTime();

void swiglu(benchmark::State& state, bool backward) {
  const Tensor gate_up = random({kRows, 2 * kInner}, 3.0F);
  Tensor out = random({kRows, kInner});
  Tensor grad = Tensor::empty(gate_up.shape());
  Stream stream;
  for (auto _ : state) {
    if (backward) {
      kernels::swiglu_backward(gate_up, out, grad, stream);
    } else {
      kernels::swiglu_forward(gate_up, out, stream);
    }
  }
  report_bytes(state, backward ? bytes_of({&gate_up, &out, &grad}) : bytes_of({&gate_up, &out}));
}
BENCHMARK_CAPTURE(swiglu, forward, false)->UseRealTime();
BENCHMARK_CAPTURE(swiglu, backward, true)->UseRealTime();

void rope(benchmark::State& state) {
  Tensor x = random({kRows, 3 * kHidden});
  const std::vector<float> unit(static_cast<std::size_t>(kRows * 32), std::sqrt(0.5F));
  const Tensor cos = Tensor::of({kRows, 32}, unit);  // an eighth turn: numbers keep their size
  const Tensor sin = Tensor::of({kRows, 32}, unit);
  std::vector<std::int32_t> rows(kRows);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i);
  const Tensor positions = Tensor::of_ints({kRows}, rows);
  Stream stream;
  for (auto _ : state) {
    kernels::rope(x, positions, cos, sin, 16, kernels::Rotation::kForward, stream);
  }
  report_bytes(state, 2.0 * 2 / 3 * bytes_of({&x}));
}
BENCHMARK(rope)->UseRealTime();

void cross_entropy(benchmark::State& state) {
  Tensor logits = random({kRows, kVocab}, 3.0F);
  const Tensor targets = Tensor::of_ints({kRows}, std::vector<std::int32_t>(kRows, 7));
  Tensor losses = Tensor::empty({kRows});
  Stream stream;
  for (auto _ : state) {
    kernels::cross_entropy_forward_backward(logits, targets, 1.0F, losses, stream);
  }
  report_bytes(state, 2 * bytes_of({&logits}));  // read once, written once
}
BENCHMARK(cross_entropy)->UseRealTime();

void adamw(benchmark::State& state) {
  Tensor param = random({std::int64_t{34} << 20});
  const Tensor grad = random(param.shape());
  Tensor m = Tensor::zeros(param.shape());
  Tensor v = Tensor::zeros(param.shape());
  kernels::AdamwStep how;
  how.lr = 1e-4;
  Stream stream;
  for (auto _ : state) kernels::adamw_update(param, grad, m, v, how, stream);
  report_bytes(state, bytes_of({&param, &param, &grad, &m, &m, &v, &v}));
}
BENCHMARK(adamw)->UseRealTime();

}  // namespace
}  // namespace rw::bench

int main(int argc, char** argv) {
  rw::kernels::register_cpu();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
