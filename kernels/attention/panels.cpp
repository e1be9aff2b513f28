// Part of Ropewalk, MIT licence.
#include "kernels/attention/panels.h"

#include <algorithm>

#include "kernels/attention/panel_kernels.h"
#include "kernels/attention/panel_packs.h"

namespace rw::kernels {
namespace {

using core::BF16;

template <class T>
QueryRows<T> group_of(const HeadRows<T>& rows, std::int64_t begin, std::int64_t tokens,
                      std::int64_t width) {
  return {{rows.row(begin), rows.stride}, std::min(kPanelQueries, tokens - begin), width};
}
template <class T>
void write_panel(const float* sums, const float* factors, std::int64_t width, std::int64_t first,
                 std::int64_t tokens, const MutableHeadRows<T>& to) {
  panel_packs<T>().write(sums, factors, width, std::min(kLanes, tokens - first),
                         {to.row(first), to.stride});
}

template <class T>
void forward(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens, float* scratch) {
  const std::int64_t width = head.head_dim;
  const ForwardRoom room(tokens, width, scratch);
  panel_packs<T>().queries(group_of(head.q, begin, tokens, width), score_scale(width), room.q);
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
    alignas(64) float factors[kLanes];
    for (std::int64_t i = 0; i < kLanes; ++i) factors[i] = 1.0F / running[g].sum[i];
    write_panel(room.o + g * room.dims() * kLanes, factors, width, first, tokens, head.out);
    for (std::int64_t i = 0; i < std::min(kLanes, tokens - first) && head.lse != nullptr; ++i) {
      head.lse[first + i] = running[g].log_sum(i);
    }
  }
}

template <class T>
void backward(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
              float* scratch) {
  const std::int64_t width = head.head_dim;
  const float scale = score_scale(width);
  const BackwardRoom room(tokens, width, scratch);
  const PanelPacks<T>& pack = panel_packs<T>();
  const QueryRows<T> q = group_of(head.q, begin, tokens, width);
  const QueryRows<T> dout = group_of(head.dout, begin, tokens, width);
  pack.queries(q, scale, room.q);
  pack.queries(dout, 1.0F, room.dout);
  pack.query_columns(q, scale, room.q_rows);
  pack.query_columns(dout, 1.0F, room.dout_rows);
  std::fill_n(room.dq, room.sum_elems(), 0.0F);
  alignas(64) float lse[kPanelQueries] = {};
  alignas(64) float along[kPanelQueries] = {};
  std::copy_n(head.lse + begin, q.count, lse);
  pack.dots(dout, {head.out.row(begin), head.out.stride}, along);
  const PanelKernels& run = panel_kernels();
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
    run.add_keys(block, room);
  }
  alignas(64) float factors[kLanes];
  std::fill_n(factors, kLanes, scale);
  for (std::int64_t g = 0; g < kGroup && begin + g * kLanes < tokens; ++g) {
    write_panel(room.dq + g * room.dims() * kLanes, factors, width, begin + g * kLanes, tokens,
                head.dq);
  }
}

std::int64_t forward_elems(std::int64_t tokens, std::int64_t head_dim) {
  return ForwardRoom(tokens, head_dim, nullptr).elems;
}
std::int64_t backward_elems(std::int64_t tokens, std::int64_t head_dim) {
  return BackwardRoom(tokens, head_dim, nullptr).elems;
}

template <class T>
void pack_forward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                       std::int64_t head_dim, float* scratch) {
  const ForwardRoom room(tokens, head_dim, scratch);
  panel_packs<T>().rows(k, tokens, head_dim, room.k);
  panel_packs<T>().columns(v, tokens, head_dim, room.v);
}
template <class T>
void pack_backward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                        std::int64_t head_dim, float* scratch) {
  const BackwardRoom room(tokens, head_dim, scratch);
  panel_packs<T>().rows(k, tokens, head_dim, room.k);
  panel_packs<T>().rows(v, tokens, head_dim, room.v);
  panel_packs<T>().columns(k, tokens, head_dim, room.k_columns);
  std::fill_n(room.dk, room.key_sum_elems(), 0.0F);
  std::fill_n(room.dv, room.key_sum_elems(), 0.0F);
}
template <class T>
void write_key_gradients(const MutableHeadRows<T>& dk, const MutableHeadRows<T>& dv,
                         std::int64_t tokens, std::int64_t head_dim, float* scratch) {
  const BackwardRoom room(tokens, head_dim, scratch);
  write_rows(room.dk, room.key_dims(), tokens, head_dim, dk);
  write_rows(room.dv, room.key_dims(), tokens, head_dim, dv);
}

}  // namespace

template <class T>
const HeadKernels<T> PanelHeads<T>::kTable{
    kPanelQueries,  kPanelQueries,        forward_elems,
    backward_elems, pack_forward_keys<T>, pack_backward_keys<T>,
    forward<T>,     backward<T>,          write_key_gradients<T>};
template struct PanelHeads<float>;
template struct PanelHeads<BF16>;

}  // namespace rw::kernels
