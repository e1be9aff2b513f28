// Part of Ropewalk, MIT licence.
#include <omp.h>

#include <algorithm>
#include <type_traits>

#include "core/buffer.h"
#include "core/dry_run.h"
#include "kernels/attention/panels.h"
#include "kernels/attention/qk_norm.h"
#include "kernels/attention/tile.h"
#include "kernels/attention/twins.h"
#include "kernels/matmul/gemm.h"
#include "kernels/parallel.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

/// Room for `elems` floats for every thread, at multiples of 64 bytes.
class Scratch {
 public:
  explicit Scratch(std::int64_t elems)
      : elems_((elems + 15) / 16 * 16),
        memory_(static_cast<std::size_t>(elems_ * omp_get_max_threads()) * sizeof(float),
                core::Device{}) {}
  float* of_this_thread() const {
    return static_cast<float*>(memory_.address()) + omp_get_thread_num() * elems_;
  }

 private:
  std::int64_t elems_;
  core::MemoryLabel label_{"attention scratch"};
  core::Buffer memory_;
};

std::int64_t tiles_of(std::int64_t tokens) { return (tokens + kQueryTile - 1) / kQueryTile; }

/// Floats of scratch that a thread needs.
template <class T>
std::int64_t forward_elems(const HeadLayout& layout) {
  const HeadKernels<T>* kernels = head_kernels<T>();
  return kernels != nullptr ? kernels->forward_elems(layout.tokens, layout.head_dim)
                            : forward_scratch_elems<T>(layout.head_dim);
}

/// Runs one head's query tiles for all (batch, head) pairs, the longest first so that threads end
/// together. Each tile's numbers depend on nothing but its own head.
template <class T, class HeadOf>
void run_forward(const HeadLayout& layout, const HeadOf& head_of) {
  const Scratch scratch(forward_elems<T>(layout));
  const std::int64_t pairs = layout.batch * layout.heads;
  const std::int64_t tiles = tiles_of(layout.tokens);
#pragma omp parallel for schedule(static, 1)
  for (std::int64_t task = 0; task < pairs * tiles; ++task) {
    const std::int64_t begin = (tiles - 1 - task / pairs) * kQueryTile;
    const std::int64_t pair = task % pairs;
    attention_forward_tile(head_of(pair / layout.heads, pair % layout.heads), begin,
                           std::min(layout.tokens, begin + kQueryTile), scratch.of_this_thread());
  }
}

/// Where a head's columns begin in a row of qkv.
std::int64_t q_column(const HeadLayout& layout, std::int64_t head) {
  return head * layout.head_dim;
}
std::int64_t k_column(const HeadLayout& layout, std::int64_t kv_head) {
  return (layout.heads + kv_head) * layout.head_dim;
}
std::int64_t v_column(const HeadLayout& layout, std::int64_t kv_head) {
  return (layout.heads + layout.kv_heads + kv_head) * layout.head_dim;
}

template <class T>
struct ForwardArrays {
  const T* qkv;
  T* out;
  float* lse;
};
template <class T>
ForwardHead<T> forward_head(const ForwardArrays<T>& from, const HeadLayout& layout, std::int64_t b,
                            std::int64_t head) {
  const std::int64_t width = layout.width();
  const std::int64_t out_width = layout.heads * layout.head_dim;
  const T* first = from.qkv + b * layout.tokens * width;
  const std::int64_t kv_head = head / (layout.heads / layout.kv_heads);
  ForwardHead<T> at;
  at.q = {first + q_column(layout, head), width};
  at.k = {first + k_column(layout, kv_head), width};
  at.v = {first + v_column(layout, kv_head), width};
  at.out = {from.out + b * layout.tokens * out_width + head * layout.head_dim, out_width};
  at.lse = from.lse + (b * layout.heads + head) * layout.tokens;
  at.head_dim = layout.head_dim;
  return at;
}

/// A (batch, key/value head) pair is packed once for all its queries; where there are few pairs
/// for the threads, several threads pack it and share out its queries.
template <class T>
void forward_by_heads(const HeadKernels<T>& run, const ForwardArrays<T>& from,
                      const HeadLayout& layout) {
  const Scratch scratch(forward_elems<T>(layout));
  const std::int64_t pairs = layout.batch * layout.kv_heads;
  const std::int64_t groups = (layout.tokens + run.forward_queries - 1) / run.forward_queries;
  const std::int64_t shares =
      std::clamp<std::int64_t>((4 * omp_get_max_threads() + pairs - 1) / pairs, 1, groups);
  const std::int64_t sharing = layout.heads / layout.kv_heads;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t task = 0; task < pairs * shares; ++task) {
    const std::int64_t b = task / shares / layout.kv_heads;
    const std::int64_t first = task / shares % layout.kv_heads * sharing;
    float* room = scratch.of_this_thread();
    const ForwardHead<T> keys = forward_head(from, layout, b, first);
    run.pack_forward_keys(keys.k, keys.v, layout.tokens, layout.head_dim, room);
    for (std::int64_t head = first; head < first + sharing; ++head) {
      const ForwardHead<T> at = forward_head(from, layout, b, head);
      for (std::int64_t group = task % shares; group < groups; group += shares) {
        run.forward(at, group * run.forward_queries, layout.tokens, room);
      }
    }
  }
}

template <class T>
void forward(const Tensor& qkv, Tensor& out, Tensor& lse, const HeadLayout& layout) {
  const ForwardArrays<T> from{qkv.data<T>(), out.data<T>(), lse.data<float>()};
  if (const HeadKernels<T>* run = head_kernels<T>()) return forward_by_heads(*run, from, layout);
  run_forward<T>(layout, [=](std::int64_t b, std::int64_t head) {
    return forward_head(from, layout, b, head);
  });
}
void forward_cpu(const Tensor& qkv, Tensor& out, Tensor& lse, const HeadLayout& layout,
                 Stream& /*stream*/) {
  core::visit_float(
      qkv.dtype(), [&](auto tag) { forward<typename decltype(tag)::type>(qkv, out, lse, layout); });
}

template <class T>
struct BackwardArrays {
  const T* qkv;
  const T* out;
  const float* lse;
  const T* dout;
  T* dqkv;
};
/// Floats of scratch for tiles: those of a tile and, for bf16, the sums into dk and dv.
template <class T>
std::int64_t tile_elems(const HeadLayout& layout) {
  const std::int64_t sums = std::is_same_v<T, float> ? 0 : 2 * layout.tokens * layout.head_dim;
  return backward_scratch_elems<T>(layout.head_dim) + sums;
}
template <class T>
std::int64_t backward_elems(const HeadLayout& layout) {
  const HeadKernels<T>* kernels = head_kernels<T>();
  return kernels != nullptr ? kernels->backward_elems(layout.tokens, layout.head_dim)
                            : tile_elems<T>(layout);
}
/// Where the sums into one key/value head's gradient grow: in the gradient itself, or, for bf16, in
/// scratch, from which round_sums takes them in the end.
MutableHeadRows<float> sums_of(const MutableHeadRows<float>& gradient, float* /*room*/,
                               std::int64_t /*width*/) {
  return gradient;
}
MutableHeadRows<float> sums_of(const MutableHeadRows<core::BF16>& /*gradient*/, float* room,
                               std::int64_t width) {
  return {room, width};
}
void round_sums(const MutableHeadRows<float>& /*sums*/, const MutableHeadRows<float>& /*gradient*/,
                const HeadLayout& /*layout*/) {}
void round_sums(const MutableHeadRows<float>& sums, const MutableHeadRows<core::BF16>& gradient,
                const HeadLayout& layout) {
  for (std::int64_t t = 0; t < layout.tokens; ++t) {
    row_convert(sums.row(t), gradient.row(t), layout.head_dim);
  }
}

/// One (batch, key/value head) pair: its query heads and their groups of queries in order, so that the sums
/// into dk and dv have one order whatever the number of threads.
template <class T>
class KeyHead {
 public:
  KeyHead(const BackwardArrays<T>& from, const HeadLayout& layout, std::int64_t pair)
      : from_(from), layout_(layout), b_(pair / layout.kv_heads), kv_head_(pair % layout.kv_heads) {
    const std::int64_t width = layout.width();
    const std::int64_t first = b_ * layout.tokens * width;
    at_.head_dim = layout.head_dim;
    at_.k = {from.qkv + first + k_column(layout, kv_head_), width};
    at_.v = {from.qkv + first + v_column(layout, kv_head_), width};
    dk_ = {from.dqkv + first + k_column(layout, kv_head_), width};
    dv_ = {from.dqkv + first + v_column(layout, kv_head_), width};
  }
  void run_by(const HeadKernels<T>& run, float* scratch) {
    const std::int64_t tokens = layout_.tokens;
    run.pack_backward_keys(at_.k, at_.v, tokens, layout_.head_dim, scratch);
    each_group(run.backward_queries, [&](std::int64_t begin, std::int64_t /*end*/) {
      run.backward(at_, begin, tokens, scratch);
    });
    run.write_key_gradients(dk_, dv_, tokens, layout_.head_dim, scratch);
  }
  void run_in_tiles(float* scratch) {
    float* sums = scratch + backward_scratch_elems<T>(layout_.head_dim);
    at_.dk = sums_of(dk_, sums, layout_.head_dim);
    at_.dv = sums_of(dv_, sums + layout_.tokens * layout_.head_dim, layout_.head_dim);
    for (std::int64_t t = 0; t < layout_.tokens; ++t) {
      std::fill_n(at_.dk.row(t), layout_.head_dim, 0.0F);
      std::fill_n(at_.dv.row(t), layout_.head_dim, 0.0F);
    }
    each_group(kQueryTile, [&](std::int64_t begin, std::int64_t end) {
      attention_backward_tile(at_, begin, end, scratch);
    });
    round_sums(at_.dk, dk_, layout_);
    round_sums(at_.dv, dv_, layout_);
  }

 private:
  template <class Group>
  void each_group(std::int64_t queries, const Group& group) {
    const std::int64_t width = layout_.width();
    const std::int64_t out_width = layout_.heads * layout_.head_dim;
    const std::int64_t first = b_ * layout_.tokens * width;
    const std::int64_t first_out = b_ * layout_.tokens * out_width;
    const std::int64_t sharing = layout_.heads / layout_.kv_heads;
    for (std::int64_t head = kv_head_ * sharing; head < (kv_head_ + 1) * sharing; ++head) {
      at_.q = {from_.qkv + first + q_column(layout_, head), width};
      at_.dq = {from_.dqkv + first + q_column(layout_, head), width};
      at_.out = {from_.out + first_out + q_column(layout_, head), out_width};
      at_.dout = {from_.dout + first_out + q_column(layout_, head), out_width};
      at_.lse = from_.lse + (b_ * layout_.heads + head) * layout_.tokens;
      for (std::int64_t begin = 0; begin < layout_.tokens; begin += queries) {
        group(begin, std::min(layout_.tokens, begin + queries));
      }
    }
  }

  const BackwardArrays<T>& from_;
  const HeadLayout& layout_;
  std::int64_t b_, kv_head_;
  BackwardHead<T> at_;
  MutableHeadRows<T> dk_, dv_;
};

template <class T>
void backward(const BackwardArrays<T>& from, const HeadLayout& layout) {
  const HeadKernels<T>* run = head_kernels<T>();
  const Scratch scratch(backward_elems<T>(layout));
  const std::int64_t pairs = layout.batch * layout.kv_heads;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    KeyHead<T> head(from, layout, pair);
    if (run != nullptr) {
      head.run_by(*run, scratch.of_this_thread());
    } else {
      head.run_in_tiles(scratch.of_this_thread());
    }
  }
}
void backward_cpu(const Tensor& qkv, const Tensor& out, const Tensor& lse, const Tensor& dout,
                  Tensor& dqkv, const HeadLayout& layout, Stream& /*stream*/) {
  core::visit_float(qkv.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    backward(BackwardArrays<T>{qkv.data<T>(), out.data<T>(), lse.data<float>(), dout.data<T>(),
                               dqkv.data<T>()},
             layout);
  });
}

}  // namespace

template <>
const HeadKernels<float>* head_kernels() {
  return cpu_has_fma() ? &PanelHeads<float>::kTable : nullptr;
}
template <>
const HeadKernels<core::BF16>* head_kernels() {
  if (gemm_runs_here(GemmEngine::kAmx)) return &kAmxHeads;
  if (gemm_runs_here(GemmEngine::kDot)) return &kDotHeads;
  return cpu_has_fma() ? &PanelHeads<core::BF16>::kTable : nullptr;
}

void attention_forward_scratch(const Tensor& qkv, Tensor& /*out*/, Tensor& /*lse*/,
                               const HeadLayout& layout, Stream& /*stream*/) {
  core::visit_float(qkv.dtype(), [&](auto tag) {
    const Scratch scratch(forward_elems<typename decltype(tag)::type>(layout));
  });
}
void attention_backward_scratch(const Tensor& qkv, const Tensor& /*out*/, const Tensor& /*lse*/,
                                const Tensor& /*dout*/, Tensor& /*dqkv*/, const HeadLayout& layout,
                                Stream& /*stream*/) {
  core::visit_float(qkv.dtype(), [&](auto tag) {
    const Scratch scratch(backward_elems<typename decltype(tag)::type>(layout));
  });
}

const AttentionTwins kAttentionCpu{forward_cpu, backward_cpu, qk_norm_forward_cpu,
                                   qk_norm_backward_input_cpu, qk_norm_backward_weight_cpu};

}  // namespace rw::kernels
