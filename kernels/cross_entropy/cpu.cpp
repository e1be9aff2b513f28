// Part of Ropewalk, MIT licence.
#include <algorithm>
#include <cmath>

#include "kernels/check.h"
#include "kernels/cross_entropy/twins.h"
#include "kernels/parallel.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

void require_targets(const char* op, const Tensor& targets, std::int64_t vocab) {
  const auto* target = targets.data<std::int32_t>();
  for (std::int64_t n = 0; n < targets.elems(); ++n) {
    if (target[n] < vocab) continue;
    refuse(op, "target " + std::to_string(target[n]) + " at " + std::to_string(n),
           "below " + std::to_string(vocab) + ", the columns of logits, or negative for padding");
  }
}

float loss_of(double sum, float largest, float chosen) {
  return static_cast<float>(std::log(sum) +
                            (static_cast<double>(largest) - static_cast<double>(chosen)));
}

template <class T>
float forward_row(const T* row, std::int32_t target, std::int64_t vocab) {
  if (target < 0) return 0.0F;
  const float largest = row_max(row, vocab);
  return loss_of(row_exp_sum(row, largest, vocab), largest, static_cast<float>(row[target]));
}

float forward_backward_row(float* row, std::int32_t target, std::int64_t vocab, float scale) {
  if (target < 0) {
    std::fill_n(row, vocab, 0.0F);
    return 0.0F;
  }
  const float largest = row_max(row, vocab);
  const float chosen = row[target];
  const double sum = row_exp(row, largest, row, vocab);
  row_scale(row, static_cast<float>(static_cast<double>(scale) / sum), vocab);
  row[target] -= scale;
  return loss_of(sum, largest, chosen);
}

/// bf16 has no room for the exponentials between the two passes: they are worked out twice.
float forward_backward_row(core::BF16* row, std::int32_t target, std::int64_t vocab, float scale) {
  if (target < 0) {
    std::fill_n(row, vocab, core::BF16(0.0F));
    return 0.0F;
  }
  const float largest = row_max(row, vocab);
  const auto chosen = static_cast<float>(row[target]);
  const double sum = row_exp_sum(row, largest, vocab);
  const auto factor = static_cast<float>(static_cast<double>(scale) / sum);
  row_exp_scaled(row, largest, factor, vocab);
  row[target] = core::BF16(std::exp(chosen - largest) * factor - scale);
  return loss_of(sum, largest, chosen);
}

void forward_cpu(const Tensor& logits, const Tensor& targets, Tensor& losses, Stream& /*stream*/) {
  const std::int64_t vocab = logits.shape()[1];
  require_targets("cross_entropy_forward", targets, vocab);
  const auto* target = targets.data<std::int32_t>();
  float* loss = losses.data<float>();
  core::visit_float(logits.dtype(), [&](auto tag) {
    const auto* rows = logits.data<typename decltype(tag)::type>();
    for_rows(logits.shape()[0], vocab, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        loss[n] = forward_row(rows + n * vocab, target[n], vocab);
      }
    });
  });
}

void forward_backward_cpu(Tensor& logits, const Tensor& targets, float scale, Tensor& losses,
                          Stream& /*stream*/) {
  const std::int64_t vocab = logits.shape()[1];
  require_targets("cross_entropy_forward_backward", targets, vocab);
  const auto* target = targets.data<std::int32_t>();
  float* loss = losses.data<float>();
  core::visit_float(logits.dtype(), [&](auto tag) {
    auto* rows = logits.data<typename decltype(tag)::type>();
    for_rows(logits.shape()[0], vocab, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        loss[n] = forward_backward_row(rows + n * vocab, target[n], vocab, scale);
      }
    });
  });
}

}  // namespace

const CrossEntropyTwins kCrossEntropyCpu{forward_cpu, forward_backward_cpu};

}  // namespace rw::kernels
