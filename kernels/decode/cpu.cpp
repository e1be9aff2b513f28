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

/// One call on one thread. Between two meet()s every thread writes only what no other touches.
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
        hidden_(model.embedding.shape()[1]),
        kv_heads_(model.layers.front().keys.shape()[1]),
        positions_(model.layers.front().keys.shape()[2]),
        head_dim_(model.layers.front().keys.shape()[3]),
        attended_(scratch.attended.shape()[1]),
        group_(attended_ / (kv_heads_ * head_dim_)),
        width_(attended_ + 2 * kv_heads_ * head_dim_),
        inner_(scratch.gate_up.shape()[1] / 2) {}

  void run(Tensor& logits) {
    embed();
    for (std::size_t i = 0; i < model_.layers.size(); ++i) {
      const bool last = i + 1 == model_.layers.size();
      run_layer(model_.layers[i], last ? model_.head : model_.layers[i + 1].qkv);
    }
    if (logits.defined()) head(logits);
  }

 private:
  void embed() const;
  void run_layer(const DecodeLayer& layer, const Tensor& after) const;
  void norm(const Tensor& weight) const;
  template <class T>
  void append(const DecodeLayer& layer, std::int64_t task) const;
  template <class T>
  void attend(const DecodeLayer& layer, std::int64_t task) const;
  void add_product(const Tensor& from, std::int64_t stride, const Tensor& weight,
                   const void* after) const;
  void gate_up(const DecodeLayer& layer) const;
  void head(Tensor& logits) const;

  /// y [:, begin … end) = x · wᵀ on all rows of the call, w's first row being column 0 of y. `after`:
  /// what this thread multiplies next.
  void product(const float* x, std::int64_t x_stride, const Tensor& w, float* y,
               std::int64_t y_stride, std::int64_t begin, std::int64_t end,
               const void* after) const {
    const NarrowProduct by{x, x_stride, count_, w.address(), w.shape()[1], y, y_stride, after};
    loops_.columns(w.dtype(), by, begin, end);
  }
  /// Where this thread's rows of a weight begin.
  const void* mine(const Tensor& w) const { return mine(w, 0, w.shape()[0]); }
  /// Of `count` rows from `first` on.
  const void* mine(const Tensor& w, std::int64_t first, std::int64_t count) const {
    const std::int64_t row = first + member_.begin(count, kNarrowGrain);
    const auto bytes = static_cast<std::int64_t>(core::dtype_bytes(w.dtype()));
    return static_cast<const char*>(w.address()) + row * w.shape()[1] * bytes;
  }
  /// (row, key/value head) pairs, dealt out so that long and short sequences mix.
  template <class Task>
  void for_heads(const Task& task) const {
    for (std::int64_t i = member_.rank; i < count_ * kv_heads_; i += member_.size) task(i);
  }
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
  std::int64_t count_, hidden_, kv_heads_, positions_, head_dim_, attended_, group_, width_, inner_;
};

void Pass::embed() const {
  float* x = scratch_.x.data<float>();
  const Tensor& table = model_.embedding;
  member_.part(count_, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int64_t at = row(n).token_id * hidden_;
      if (table.dtype() == core::DType::kBF16) {
        row_convert(table.data<core::BF16>() + at, x + n * hidden_, hidden_);
      } else {
        std::copy_n(table.data<float>() + at, hidden_, x + n * hidden_);
      }
    }
  });
}

/// By the threads that wrote x's rows last or after a meeting.
void Pass::norm(const Tensor& weight) const {
  const float* x = scratch_.x.data<float>();
  float* y = scratch_.normed.data<float>();
  member_.part(count_, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      norm_row(x + n * hidden_, weight.data<float>(), model_.eps, y + n * hidden_, hidden_);
    }
  });
}

void Pass::run_layer(const DecodeLayer& layer, const Tensor& after) const {
  norm(layer.input_norm);
  member_.meet();
  member_.part(width_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    product(scratch_.normed.data<float>(), hidden_, layer.qkv, scratch_.qkv.data<float>(), width_,
            begin, end, mine(layer.o));
  });
  member_.meet();
  core::visit_float(layer.keys.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_heads([&](std::int64_t task) { append<T>(layer, task); });
    member_.meet();  // rows of one sequence see each other's keys
    for_heads([&](std::int64_t task) { attend<T>(layer, task); });
  });
  member_.meet();
  add_product(scratch_.attended, attended_, layer.o, mine(layer.gate_up, 0, inner_));
  member_.meet();
  norm(layer.post_norm);
  member_.meet();
  gate_up(layer);
  member_.meet();
  add_product(scratch_.gate_up, 2 * inner_, layer.down, mine(after));
  member_.meet();
}

void store(const float* from, float* to, std::int64_t width) { std::copy_n(from, width, to); }
void store(const float* from, core::BF16* to, std::int64_t width) { row_convert(from, to, width); }

/// Norms and turns one key head and its query heads; key and value go into the cache.
template <class T>
void Pass::append(const DecodeLayer& layer, std::int64_t task) const {
  const std::int64_t n = task / kv_heads_;
  const std::int64_t kv_head = task % kv_heads_;
  const std::int64_t position = row(n).position;
  float* first = scratch_.qkv.data<float>() + n * width_;
  float* q = first + kv_head * group_ * head_dim_;
  float* k = first + attended_ + kv_head * head_dim_;
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
  store(k + kv_heads_ * head_dim_, cached<T>(layer.values, task) + at, head_dim_);
}

/// The query heads that share one key head, over positions [0, position].
template <class T>
void Pass::attend(const DecodeLayer& layer, std::int64_t task) const {
  const std::int64_t n = task / kv_heads_;
  const std::int64_t kv_head = task % kv_heads_;
  const std::int64_t seen = row(n).position + 1;
  const std::int64_t column = kv_head * group_ * head_dim_;
  float* scores = scratch_.scores.data<float>() + member_.rank * group_ * positions_;
  NarrowProduct by;
  by.x = scratch_.qkv.data<float>() + n * width_ + column;
  by.x_stride = head_dim_;
  by.rows = group_;
  by.w = cached<T>(layer.keys, task);
  by.k = head_dim_;
  by.y = scores;
  by.y_stride = positions_;
  const T* values = cached<T>(layer.values, task);
  by.instead = values;
  loops_.columns(layer.keys.dtype(), by, 0, seen);
  const std::int64_t next_task = task + member_.size;
  const T* next_keys = next_task < count_ * kv_heads_ ? cached<T>(layer.keys, next_task) : values;
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim_)));
  for (std::int64_t h = 0; h < group_; ++h) {
    float* p = scores + h * positions_;
    float* out = scratch_.attended.data<float>() + n * attended_ + column + h * head_dim_;
    row_scale(p, scale, seen);
    const double sum = row_exp(p, row_max(p, seen), p, seen);
    loops_.weighted_rows(p, values, seen, head_dim_, out, h + 1 < group_ ? values : next_keys);
    row_scale(out, static_cast<float>(1.0 / sum), head_dim_);
  }
}

/// x += from · weightᵀ, each thread its columns.
void Pass::add_product(const Tensor& from, std::int64_t stride, const Tensor& weight,
                       const void* after) const {
  float* x = scratch_.x.data<float>();
  float* delta = scratch_.normed.data<float>();  // free between two norms
  member_.part(hidden_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    product(from.data<float>(), stride, weight, delta, hidden_, begin, end, after);
    for (std::int64_t n = 0; n < count_; ++n) {
      row_add(delta + n * hidden_ + begin, x + n * hidden_ + begin, end - begin);
    }
  });
}

/// silu(gate) · up, in place of the gate: each thread both halves of its columns.
void Pass::gate_up(const DecodeLayer& layer) const {
  const float* x = scratch_.normed.data<float>();
  float* gate = scratch_.gate_up.data<float>();
  float* up = gate + inner_;
  const Tensor up_weight = layer.gate_up.rows(inner_, 2 * inner_);
  member_.part(inner_, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    product(x, hidden_, layer.gate_up, gate, 2 * inner_, begin, end,
            mine(layer.gate_up, inner_, inner_));
    product(x, hidden_, up_weight, up, 2 * inner_, begin, end, mine(layer.down));
    for (std::int64_t n = 0; n < count_; ++n) {
      const std::int64_t at = n * 2 * inner_ + begin;
      swiglu_row(gate + at, up + at, gate + at, end - begin);
    }
  });
}

void Pass::head(Tensor& logits) const {
  const std::int64_t wanted = logits.shape()[0];
  const std::int64_t vocab = logits.shape()[1];
  const float* x = scratch_.x.data<float>();
  float* normed = scratch_.normed.data<float>();
  if (member_.rank == 0) {
    std::int64_t next = 0;
    for (std::int64_t n = 0; n < count_; ++n) {
      if (!row(n).wants_logits) continue;
      norm_row(x + n * hidden_, model_.final_norm.data<float>(), model_.eps,
               normed + next++ * hidden_, hidden_);
    }
  }
  member_.meet();
  const NarrowProduct by{
      normed, hidden_, wanted, model_.head.address(), hidden_, logits.data<float>(), vocab};
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
