// Part of Ropewalk, MIT licence.
#include "kernels/attention/panels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/panel_kernels.h"
#include "kernels/attention/panel_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

float score_scale(std::int64_t width) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
}

/// Writes the sums of one panel, [dims, 16], as rows of the result, at most kLanes of them.
template <class T>
RW_AVX2 void write_rows(const float* sums, const PanelRoom& room, std::int64_t rows, float* turned,
                        const MutableHeadRows<T>& to, std::int64_t first) {
  for (std::int64_t d = 0; d < room.width; d += 8) {
    turn8(sums + d * kLanes, kLanes, turned + d, room.dims());
    turn8(sums + d * kLanes + 8, kLanes, turned + 8 * room.dims() + d, room.dims());
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* from = turned + i * room.dims();
    T* row = to.row(first + i);
    std::int64_t d = 0;
    for (; d + 8 <= room.width; d += 8) store8(row + d, _mm256_loadu_ps(from + d));
    for (; d < room.width; ++d) row[d] = T(from[d]);
  }
}

template <class T>
RW_AVX2 void pack_forward(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                          std::int64_t head_dim, float* scratch) {
  const ForwardRoom room(tokens, head_dim, scratch);
  pack_rows(k, tokens, head_dim, room.k);
  pack_columns(v, tokens, head_dim, room.v);
}
template <class T>
RW_AVX2 void pack_backward(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                           std::int64_t head_dim, float* scratch) {
  const BackwardRoom room(tokens, head_dim, scratch);
  pack_rows(k, tokens, head_dim, room.k);
  pack_rows(v, tokens, head_dim, room.v);
  pack_columns(k, tokens, head_dim, room.k_columns);
}

template <class T>
RW_AVX2 void forward_group(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                           float* scratch) {
  const std::int64_t width = head.head_dim;
  const ForwardRoom room(tokens, width, scratch);
  pack_queries(head.q, begin, tokens, width, score_scale(width), room.q);
  std::fill_n(room.o, room.sum_elems(), 0.0F);
  SoftmaxLanes running[kGroup];
  const PanelKernels& run = panel_kernels();
  const std::int64_t seen = std::min(tokens, begin + kPanelQueries);
  for (std::int64_t key = 0; key < seen; key += kKeys) {
    const KeyBlock block{key, begin, tokens};
    run.scores(block, room.k, room.q, width, room.p);
    for (std::int64_t g = 0; g < kGroup; ++g) {
      run.take_block(block, g, room.p + g * kKeys * kLanes, running[g],
                     room.o + g * room.dims() * kLanes, room.dims());
    }
    run.weigh(block, room.v, room.p, room, room.o);
  }
  for (std::int64_t g = 0; g < kGroup && begin + g * kLanes < tokens; ++g) {
    const std::int64_t first = begin + g * kLanes;
    const std::int64_t rows = std::min(kLanes, tokens - first);
    float* sums = room.o + g * room.dims() * kLanes;
    const LaneFactor factor = inverse_of(running[g]);
    for (std::int64_t d = 0; d < room.dims(); ++d) factor.apply(sums + d * kLanes);
    write_rows(sums, room, rows, room.rows, head.out, first);
    for (std::int64_t i = 0; i < rows && head.lse != nullptr; ++i) {
      head.lse[first + i] = running[g].log_sum(i);
    }
  }
}

template <class T>
RW_AVX2 void backward_group(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                            float* scratch) {
  const std::int64_t width = head.head_dim;
  const float scale = score_scale(width);
  const BackwardRoom room(tokens, width, scratch);
  pack_queries(head.q, begin, tokens, width, scale, room.q);
  pack_queries(head.dout, begin, tokens, width, 1.0F, room.dout);
  pack_query_rows(head.q, begin, tokens, width, scale, room.q_rows);
  pack_query_rows(head.dout, begin, tokens, width, 1.0F, room.dout_rows);
  std::fill_n(room.dq, room.sum_elems(), 0.0F);
  const PanelKernels& run = panel_kernels();
  alignas(64) float lse[kPanelQueries] = {};
  alignas(64) float along[kPanelQueries] = {};
  for (std::int64_t i = 0; i < std::min(kPanelQueries, tokens - begin); ++i) {
    lse[i] = head.lse[begin + i];
    along[i] = dot(head.dout.row(begin + i), head.out.row(begin + i), width);
  }
  const std::int64_t seen = std::min(tokens, begin + kPanelQueries);
  for (std::int64_t key = 0; key < seen; key += kKeys) {
    const KeyBlock block{key, begin, tokens};
    run.scores(block, room.k, room.q, width, room.p);
    run.scores(block, room.v, room.dout, width, room.ds);
    for (std::int64_t g = 0; g < kGroup; ++g) {
      const std::int64_t at = g * kKeys * kLanes;
      run.probabilities(block, g,
                        {lse + g * kLanes, along + g * kLanes, room.p + at, room.ds + at});
    }
    run.weigh(block, room.k_columns, room.ds, room, room.dq);
    run.add_keys(block, room, head.dk, head.dv);
  }
  for (std::int64_t g = 0; g < kGroup && begin + g * kLanes < tokens; ++g) {
    float* sums = room.dq + g * room.dims() * kLanes;
    for (std::int64_t i = 0; i < room.dims() * kLanes; ++i) sums[i] *= scale;
    const std::int64_t first = begin + g * kLanes;
    write_rows(sums, room, std::min(kLanes, tokens - first), room.rows, head.dq, first);
  }
}

}  // namespace

std::int64_t forward_panel_elems(std::int64_t tokens, std::int64_t head_dim) {
  return ForwardRoom(tokens, head_dim, nullptr).elems;
}
std::int64_t backward_panel_elems(std::int64_t tokens, std::int64_t head_dim) {
  return BackwardRoom(tokens, head_dim, nullptr).elems;
}

template <class T>
void pack_forward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                       std::int64_t head_dim, float* scratch) {
  pack_forward(k, v, tokens, head_dim, scratch);
}
template <class T>
void pack_backward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                        std::int64_t head_dim, float* scratch) {
  pack_backward(k, v, tokens, head_dim, scratch);
}
template <class T>
void attention_forward_panels(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                              float* scratch) {
  forward_group(head, begin, tokens, scratch);
}
template <class T>
void attention_backward_panels(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                               float* scratch) {
  backward_group(head, begin, tokens, scratch);
}

template void pack_forward_keys(const HeadRows<float>&, const HeadRows<float>&, std::int64_t,
                                std::int64_t, float*);
template void pack_forward_keys(const HeadRows<BF16>&, const HeadRows<BF16>&, std::int64_t,
                                std::int64_t, float*);
template void pack_backward_keys(const HeadRows<float>&, const HeadRows<float>&, std::int64_t,
                                 std::int64_t, float*);
template void pack_backward_keys(const HeadRows<BF16>&, const HeadRows<BF16>&, std::int64_t,
                                 std::int64_t, float*);
template void attention_forward_panels(const ForwardHead<float>&, std::int64_t, std::int64_t,
                                       float*);
template void attention_forward_panels(const ForwardHead<BF16>&, std::int64_t, std::int64_t,
                                       float*);
template void attention_backward_panels(const BackwardHead<float>&, std::int64_t, std::int64_t,
                                        float*);
template void attention_backward_panels(const BackwardHead<BF16>&, std::int64_t, std::int64_t,
                                        float*);

}  // namespace rw::kernels
