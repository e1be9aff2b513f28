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

float forward_row(const float* row, std::int32_t target, std::int64_t vocab) {
  if (target < 0) return 0.0F;
  const float largest = row_max(row, vocab);
  return loss_of(row_exp_sum(row, largest, vocab), largest, row[target]);
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

void forward_cpu(const Tensor& logits, const Tensor& targets, Tensor& losses, Stream& /*stream*/) {
  const std::int64_t vocab = logits.shape()[1];
  require_targets("cross_entropy_forward", targets, vocab);
  const float* rows = logits.data<float>();
  const auto* target = targets.data<std::int32_t>();
  float* loss = losses.data<float>();
  for_rows(logits.shape()[0], vocab, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      loss[n] = forward_row(rows + n * vocab, target[n], vocab);
    }
  });
}

void forward_backward_cpu(Tensor& logits, const Tensor& targets, float scale, Tensor& losses,
                          Stream& /*stream*/) {
  const std::int64_t vocab = logits.shape()[1];
  require_targets("cross_entropy_forward_backward", targets, vocab);
  float* rows = logits.data<float>();
  const auto* target = targets.data<std::int32_t>();
  float* loss = losses.data<float>();
  for_rows(logits.shape()[0], vocab, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      loss[n] = forward_backward_row(rows + n * vocab, target[n], vocab, scale);
    }
  });
}

}  // namespace

const CrossEntropyTwins kCrossEntropyCpu{forward_cpu, forward_backward_cpu};

}  // namespace rw::kernels
