// Part of Ropewalk, MIT licence.
#include "launcher/machine_limits.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

#include "core/tensor.h"
#include "kernels/elementwise/elementwise.h"
#include "metrics/timer.h"
#include "model/block.h"

namespace rw::launcher {
namespace {

using core::Shape;
using core::Tensor;

constexpr int kTurns = 5;
constexpr std::int64_t kTriadElems = std::int64_t{16} << 20;  // 64 MiB an array

/// Least seconds of kTurns calls after one that wakes, packs and pages.
template <class Call>
double best_seconds(const Call& call) {
  call();
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < kTurns; ++i) {
    const std::int64_t begin = metrics::now_ns();
    call();
    best = std::min(best, metrics::now_ns() - begin);
  }
  return static_cast<double>(best) / 1e9;
}

/// Neither zero nor denormal: such numbers could be faster or slower than real ones.
Tensor filled(const Shape& shape, core::Stream& stream, core::DType dtype = core::DType::kF32) {
  Tensor out = Tensor::empty(shape);
  kernels::fill(out, 0.01F, stream);
  if (dtype == core::DType::kF32) return out;
  Tensor narrow = Tensor::empty(shape, dtype);
  kernels::convert(out, narrow, stream);
  return narrow;
}

/// How often each weight [out, in] is there.
std::map<std::pair<std::int64_t, std::int64_t>, int> weights(const model::Options& model) {
  const std::int64_t hidden = model.hidden_size;
  const std::int64_t heads = model.num_attention_heads * model.head_dim;
  const std::int64_t kv_heads = model.num_key_value_heads * model.head_dim;
  const auto layers = static_cast<int>(model.num_hidden_layers);
  std::map<std::pair<std::int64_t, std::int64_t>, int> out;
  out[{heads + 2 * kv_heads, hidden}] += layers;
  out[{hidden, heads}] += layers;
  out[{2 * model.intermediate_size, hidden}] += layers;
  out[{hidden, model.intermediate_size}] += layers;
  out[{model.vocab_size, hidden}] += 1;
  return out;
}

}  // namespace

GemmLimit measure_gemms(const model::Options& model, core::DType dtype, std::int64_t rows) {
  constexpr double kFlopsPerWeightAndRow = 6;  // three products of two
  GemmLimit out;
  core::Stream stream;
  for (const auto& [shape, count] : weights(model)) {
    const auto [wide, deep] = shape;
    const Tensor x = filled({rows, deep}, stream, dtype);
    const Tensor dy = filled({rows, wide}, stream, dtype);
    const Tensor weight = filled({wide, deep}, stream, dtype);
    Tensor dweight = filled({wide, deep}, stream);
    const double seconds =
        best_seconds([&] { model::linear(x, weight, dtype, stream); }) +
        best_seconds([&] { model::linear_backward_input(dy, weight, dtype, stream); }) +
        best_seconds([&] { model::linear_backward_weight(dy, x, dweight, stream); });
    out.seconds += count * seconds;
    out.flops += count * kFlopsPerWeightAndRow * static_cast<double>(rows * wide * deep);
  }
  return out;
}

double measure_bandwidth() {
  constexpr double kArrays = 3;
  core::Stream stream;
  const Tensor a = filled({kTriadElems}, stream);
  const Tensor b = filled({kTriadElems}, stream);
  Tensor c = filled({kTriadElems}, stream);
  return kArrays * static_cast<double>(c.bytes()) /
         best_seconds([&] { kernels::add(a, b, c, stream); });
}

}  // namespace rw::launcher
