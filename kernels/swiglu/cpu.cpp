// Part of Ropewalk, MIT licence.
#include "kernels/multiversion.h"
#include "kernels/parallel.h"
#include "kernels/simd_math.h"
#include "kernels/swiglu/math.h"
#include "kernels/swiglu/row.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {

using core::BF16;

namespace {

template <class T>
[[gnu::always_inline]] inline void forward_any(const T* gate, const T* up, T* out,
                                               std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    const auto g = static_cast<float>(gate[i]);
    put(swiglu_value(g, static_cast<float>(up[i]), fast_sigmoid(g)), out[i]);
  }
}

}  // namespace

RW_CLONES void swiglu_row(const float* gate, const float* up, float* out, std::int64_t width) {
  forward_any(gate, up, out, width);
}
RW_CLONES void swiglu_row(const BF16* gate, const BF16* up, BF16* out, std::int64_t width) {
  forward_any(gate, up, out, width);
}

namespace {

/// dgate and dup may be gate and up.
template <class T>
struct RowBackward {
  const T* gate;
  const T* up;
  const T* dout;
  T* dgate;
  T* dup;
};
template <class T>
[[gnu::always_inline]] inline void backward_any(const RowBackward<T>& row, std::int64_t width) {
  const T* gate = row.gate;
  const T* up = row.up;
  const T* dout = row.dout;
  T* dgate = row.dgate;
  T* dup = row.dup;
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    const auto g = static_cast<float>(gate[i]);
    const auto d = static_cast<float>(dout[i]);
    const float sigma = fast_sigmoid(g);
    const float through_gate = d * static_cast<float>(up[i]) * silu_slope(g, sigma);
    put(swiglu_value(g, d, sigma), dup[i]);
    put(through_gate, dgate[i]);
  }
}
RW_CLONES void backward_row(const RowBackward<float>& row, std::int64_t width) {
  backward_any(row, width);
}
RW_CLONES void backward_row(const RowBackward<BF16>& row, std::int64_t width) {
  backward_any(row, width);
}

void forward_cpu(const Tensor& gate_up, Tensor& out, Stream& /*stream*/) {
  core::visit_float(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const std::int64_t f = out.shape()[1];
    const T* from = gate_up.data<T>();
    T* to = out.data<T>();
    for_rows(out.shape()[0], f, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* row = from + n * 2 * f;
        swiglu_row(row, row + f, to + n * f, f);
      }
    });
  });
}

void backward_cpu(const Tensor& gate_up, const Tensor& dout, Tensor& dgate_up, Stream& /*stream*/) {
  core::visit_float(dout.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const std::int64_t f = dout.shape()[1];
    const T* from = gate_up.data<T>();
    const T* grad = dout.data<T>();
    T* to = dgate_up.data<T>();
    for_rows(dout.shape()[0], f, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* row = from + n * 2 * f;
        T* drow = to + n * 2 * f;
        backward_row(RowBackward<T>{row, row + f, grad + n * f, drow, drow + f}, f);
      }
    });
  });
}

}  // namespace

const SwigluTwins kSwigluCpu{forward_cpu, backward_cpu};

}  // namespace rw::kernels
