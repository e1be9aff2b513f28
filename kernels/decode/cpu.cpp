// Part of Ropewalk, MIT licence.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/decode/team.h"
#include "kernels/decode/twins.h"
#include "kernels/narrow_matmul/columns.h"
#include "kernels/rms_norm/row.h"
#include "kernels/rope/row.h"
#include "kernels/row_math.h"
#include "kernels/swiglu/row.h"

namespace rw::kernels {
namespace {

/// One call on one thread. Between two meet()s every thread writes only what no other touches. A line that
/// another core has read costs its writer more than one that was written there costs its reader, so a thread
/// writes for others only what they need: its columns of x, of the heads' results and of the MLP's inside.
/// All else (q, k and v too where heads divide by threads) lies by itself, so that no core fetches it on its way
/// along a row, and every thread norms every row. Measured on two threads.
class Pass {
 public:
  Pass(const DecodeModel& model, std::span<const DecodeRow> rows, DecodeScratch& scratch,
       const Member& member)
      : model_(model),
        rows_(rows),
        scratch_(scratch),
        member_(member),
        loops_(narrow_loops()),
        count_(static_cast<std::int64_t>(rows.size())),
        room_(scratch.x.shape()[0]),
        hidden_(model.embedding.shape()[1]),
        kv_heads_(model.layers.front().keys.shape()[1]),
        positions_(model.layers.front().keys.shape()[2]),
        head_dim_(model.layers.front().keys.shape()[3]),
        attended_(scratch.attended.shape()[1]),
        group_(attended_ / (kv_heads_ * head_dim_)),
        width_(attended_ + 2 * kv_heads_ * head_dim_),
        inner_(scratch.inside.shape()[1]),
        own_heads_(kv_heads_ % member.size == 0 ? kv_heads_ / member.size : 0),
        heads_(own_heads_ > 0 ? own_heads_ : kv_heads_),
        first_head_(own_heads_ * member.rank),
        normed_(scratch.normed.data<float>() + member.rank * scratch.x.elems()),
        qkv_(scratch.qkv.data<float>() + room_ * first_head_ * (group_ + 2) * head_dim_) {}

  void run(Tensor& logits) {
    embed();
    member_.meet();
    for (std::size_t i = 0; i < model_.layers.size(); ++i) {
      const bool last = i + 1 == model_.layers.size();
      run_layer(model_.layers[i], last ? mine(model_.head) : mine_of_qkv(model_.layers[i + 1].qkv));
    }
    if (logits.defined()) head(logits);
  }

 private:
  void embed() const;
  void run_layer(const DecodeLayer& layer, const void* after) const;
  void norm(const Tensor& weight) const;
  void qkv(const DecodeLayer& layer) const;
  template <class T>
  void append(const DecodeLayer& layer, std::int64_t task) const;
  template <class T>
  void attend(const DecodeLayer& layer, std::int64_t task, std::int64_t next) const;
  void add_product(const Tensor& from, const Tensor& weight, const void* after) const;
  void gate_up(const DecodeLayer& layer) const;
  void head(Tensor& logits) const;

  /// `count` rows of a weight.
  struct Rows {
    const Tensor& of;
    std::int64_t first, count;
    const void* address() const {
      const auto bytes = static_cast<std::int64_t>(core::dtype_bytes(of.dtype()));
      return static_cast<const char*>(of.address()) + first * of.shape()[1] * bytes;
    }
  };
  /// Where results go: row n at `at` + n · stride.
  struct Place {
    float* at;
    std::int64_t stride;
  };
  /// y = x · wᵀ on all rows of the call, x [count, stride]. `after`: what this thread multiplies next.
  void product(const float* x, std::int64_t stride, const Rows& w, const Place& y,
               const void* after) const {
    const NarrowProduct by{x, stride, count_, w.address(), w.of.shape()[1], y.at, y.stride, after};
    loops_.columns(w.of.dtype(), by, 0, w.count);
  }
  /// This thread's rows of a weight begin there.
  const void* mine(const Tensor& w) const { return mine(w, 0, w.shape()[0]); }
  /// Those of `count` rows from `first` on.
  const void* mine(const Tensor& w, std::int64_t first, std::int64_t count) const {
    return Rows{w, first + member_.begin(count, kNarrowGrain), 0}.address();
  }
  /// Those of qkv().
  const void* mine_of_qkv(const Tensor& w) const {
    return own_heads_ == 0 ? mine(w) : Rows{w, first_head_ * group_ * head_dim_, 0}.address();
  }
  /// This thread's i-th pair of a row and a key/value head, as row · Hkv + head: the heads that are its own,
  /// or pairs dealt out so that long and short sequences mix.
  std::int64_t task(std::int64_t i) const {
    if (own_heads_ == 0) return i * member_.size + member_.rank;
    return i / own_heads_ * kv_heads_ + first_head_ + i % own_heads_;
  }
  std::int64_t tasks() const {
    if (own_heads_ > 0) return count_ * own_heads_;
    return (count_ * kv_heads_ - member_.rank + member_.size - 1) / member_.size;
  }
  /// The query heads [H / Hkv, Dh] and the key head [Dh] of a task; its value head lies heads_ · Dh behind that.
  float* query(std::int64_t task) const {
    return qkv_row(task) + own_head(task) * group_ * head_dim_;
  }
  float* key(std::int64_t task) const {
    return qkv_row(task) + (heads_ * group_ + own_head(task)) * head_dim_;
  }
  float* qkv_row(std::int64_t task) const {
    return qkv_ + task / kv_heads_ * heads_ * (group_ + 2) * head_dim_;
  }
  /// Its head as one of those in qkv_.
  std::int64_t own_head(std::int64_t task) const { return task % kv_heads_ - first_head_; }
  const DecodeRow& row(std::int64_t n) const { return rows_[static_cast<std::size_t>(n)]; }
  /// The keys or values [P, Dh] of one key/value head of row n's sequence.
  template <class T>
  T* cached(const Tensor& cache, std::int64_t task) const {
    const std::int64_t sequence = row(task / kv_heads_).sequence;
    return cache.data<T>() + (sequence * kv_heads_ + task % kv_heads_) * positions_ * head_dim_;
  }

  const DecodeModel& model_;
  std::span<const DecodeRow> rows_;
  DecodeScratch& scratch_;
  const Member& member_;
  const NarrowLoops& loops_;
  std::int64_t count_;  // rows
  std::int64_t room_;   // for rows: each thread's part of a scratch tensor is as many long
  std::int64_t hidden_, kv_heads_, positions_, head_dim_, attended_, group_, width_, inner_;
  std::int64_t own_heads_;  // key/value heads whose columns of q, k and v are all this thread's;
                            // 0: it computes other columns than it attends with
  std::int64_t heads_, first_head_;  // key/value heads in qkv_, the first of them
  float* normed_;                    // [count, D], this thread's
  float* qkv_;  // [count, heads · (H / Hkv + 2) · Dh], this thread's or all's
};

void Pass::embed() const {
  float* x = scratch_.x.data<float>();
  const Tensor& table = model_.embedding;
  member_.part(hidden_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = 0; n < count_; ++n) {
      const std::int64_t at = row(n).token_id * hidden_ + begin;
      float* to = x + n * hidden_ + begin;
      if (table.dtype() == core::DType::kBF16) {
        row_convert(table.data<core::BF16>() + at, to, end - begin);
      } else {
        std::copy_n(table.data<float>() + at, end - begin, to);
      }
    }
  });
}

void Pass::norm(const Tensor& weight) const {
  const float* x = scratch_.x.data<float>();
  for (std::int64_t n = 0; n < count_; ++n) {
    norm_row(x + n * hidden_, weight.data<float>(), model_.eps, normed_ + n * hidden_, hidden_);
  }
}

void Pass::qkv(const DecodeLayer& layer) const {
  if (own_heads_ == 0) {
    member_.part(width_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
      product(normed_, hidden_, {layer.qkv, begin, end - begin}, {qkv_ + begin, width_},
              mine(layer.o));
    });
    return member_.meet();
  }
  const std::int64_t width = own_heads_ * head_dim_;
  const Rows q{layer.qkv, first_head_ * group_ * head_dim_, width * group_};
  const Rows k{layer.qkv, attended_ + first_head_ * head_dim_, width};
  const Rows v{layer.qkv, k.first + kv_heads_ * head_dim_, width};
  const std::int64_t stride = width * (group_ + 2);
  product(normed_, hidden_, q, {qkv_, stride}, k.address());
  product(normed_, hidden_, k, {qkv_ + q.count, stride}, v.address());
  product(normed_, hidden_, v, {qkv_ + q.count + width, stride}, mine(layer.o));
}

void Pass::run_layer(const DecodeLayer& layer, const void* after) const {
  norm(layer.input_norm);
  qkv(layer);
  core::visit_float(layer.keys.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t i = 0; i < tasks(); ++i) append<T>(layer, task(i));
    if (own_heads_ == 0) member_.meet();  // rows of one sequence see each other's keys
    for (std::int64_t i = 0; i < tasks(); ++i) {
      attend<T>(layer, task(i), i + 1 < tasks() ? task(i + 1) : -1);
    }
  });
  member_.meet();
  add_product(scratch_.attended, layer.o, mine(layer.gate_up, 0, inner_));
  member_.meet();
  norm(layer.post_norm);
  gate_up(layer);
  member_.meet();
  add_product(scratch_.inside, layer.down, after);
  member_.meet();
}

void store(const float* from, float* to, std::int64_t width) { std::copy_n(from, width, to); }
void store(const float* from, core::BF16* to, std::int64_t width) { row_convert(from, to, width); }

/// Norms and turns one key head and its query heads; key and value go into the cache.
template <class T>
void Pass::append(const DecodeLayer& layer, std::int64_t task) const {
  const std::int64_t position = row(task / kv_heads_).position;
  float* q = query(task);
  float* k = key(task);
  if (layer.q_norm.defined()) {
    norm_row(k, layer.k_norm.data<float>(), model_.eps, k, head_dim_);
    for (std::int64_t h = 0; h < group_; ++h) {
      float* head = q + h * head_dim_;
      norm_row(head, layer.q_norm.data<float>(), model_.eps, head, head_dim_);
    }
  }
  const std::int64_t half = head_dim_ / 2;
  const float* cos = model_.cos.data<float>() + position * half;
  const float* sin = model_.sin.data<float>() + position * half;
  rotate_row(q, {cos, sin, 1.0F}, half, group_);
  rotate_row(k, {cos, sin, 1.0F}, half, 1);
  const std::int64_t at = position * head_dim_;
  store(k, cached<T>(layer.keys, task) + at, head_dim_);
  store(k + heads_ * head_dim_, cached<T>(layer.values, task) + at, head_dim_);
}

/// The query heads that share one key head, over positions [0, position]. `next`: the task after it, -1: none.
template <class T>
void Pass::attend(const DecodeLayer& layer, std::int64_t task, std::int64_t next) const {
  const std::int64_t n = task / kv_heads_;
  const std::int64_t kv_head = task % kv_heads_;
  const std::int64_t seen = row(n).position + 1;
  const std::int64_t column = kv_head * group_ * head_dim_;
  const std::int64_t stride = scratch_.scores.shape()[2];
  float* scores = scratch_.scores.data<float>() + member_.rank * group_ * stride;
  NarrowProduct by;
  by.x = query(task);
  by.x_stride = head_dim_;
  by.rows = group_;
  by.w = cached<T>(layer.keys, task);
  by.k = head_dim_;
  by.y = scores;
  by.y_stride = stride;
  const T* values = cached<T>(layer.values, task);
  by.instead = values;
  loops_.columns(layer.keys.dtype(), by, 0, seen);
  const T* next_keys = next >= 0 ? cached<T>(layer.keys, next) : values;
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim_)));
  for (std::int64_t h = 0; h < group_; ++h) {
    float* p = scores + h * stride;
    float* out = scratch_.attended.data<float>() + n * attended_ + column + h * head_dim_;
    row_scale(p, scale, seen);
    const double sum = row_exp(p, row_max(p, seen), p, seen);
    loops_.weighted_rows(p, values, seen, head_dim_, out, h + 1 < group_ ? values : next_keys);
    row_scale(out, static_cast<float>(1.0 / sum), head_dim_);
  }
}

/// x += from · weightᵀ, each thread its columns.
void Pass::add_product(const Tensor& from, const Tensor& weight, const void* after) const {
  float* x = scratch_.x.data<float>();
  member_.part(hidden_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t width = end - begin;
    const Place delta{scratch_.delta.data<float>() + room_ * begin, width};
    product(from.data<float>(), from.shape()[1], {weight, begin, width}, delta, after);
    for (std::int64_t n = 0; n < count_; ++n) {
      row_add(delta.at + n * width, x + n * hidden_ + begin, width);
    }
  });
}

/// silu(gate) · up, each thread both halves of its columns.
void Pass::gate_up(const DecodeLayer& layer) const {
  member_.part(inner_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t width = end - begin;
    const Place gate{scratch_.gate_up.data<float>() + 2 * room_ * begin, 2 * width};
    const Place up{gate.at + width, gate.stride};
    const Rows up_rows{layer.gate_up, inner_ + begin, width};
    product(normed_, hidden_, {layer.gate_up, begin, width}, gate, up_rows.address());
    product(normed_, hidden_, up_rows, up, mine(layer.down));
    for (std::int64_t n = 0; n < count_; ++n) {
      swiglu_row(gate.at + n * gate.stride, up.at + n * up.stride,
                 scratch_.inside.data<float>() + n * inner_ + begin, width);
    }
  });
}

void Pass::head(Tensor& logits) const {
  const std::int64_t wanted = logits.shape()[0];
  const std::int64_t vocab = logits.shape()[1];
  const float* x = scratch_.x.data<float>();
  std::int64_t next = 0;
  for (std::int64_t n = 0; n < count_; ++n) {
    if (!row(n).wants_logits) continue;
    norm_row(x + n * hidden_, model_.final_norm.data<float>(), model_.eps,
             normed_ + next++ * hidden_, hidden_);
  }
  const NarrowProduct by{
      normed_, hidden_, wanted, model_.head.address(), hidden_, logits.data<float>(), vocab};
  member_.part(vocab, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    loops_.columns(model_.head.dtype(), by, begin, end);
  });
}

void decode_cpu(const DecodeModel& model, std::span<const DecodeRow> rows, DecodeScratch& scratch,
                Tensor& logits, Stream& /*stream*/) {
  const bool wanted =
      std::any_of(rows.begin(), rows.end(), [](const DecodeRow& row) { return row.wants_logits; });
  Tensor none;
  Tensor& out = wanted ? logits : none;
  Meeting meeting;
  const auto most = static_cast<int>(scratch.scores.shape()[0]);
#pragma omp parallel num_threads(std::min(most, omp_get_max_threads()))
  {
    const Member member{omp_get_thread_num(), omp_get_num_threads(), &meeting};
    Pass(model, rows, scratch, member).run(out);
  }
}

}  // namespace

const DecodeTwins kDecodeCpu{decode_cpu};

}  // namespace rw::kernels
