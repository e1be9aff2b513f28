// Part of Ropewalk, MIT licence.
#include "model/head.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "core/dry_run.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "model/block.h"

namespace rw::model {
using core::Tensor;

namespace {

Tensor logits_of(const Tensor& normed, const Tensor& matrix, core::Stream& stream) {
  const core::MemoryLabel label("logits");
  return linear(normed, matrix, matrix.dtype(), stream);
}

/// Where the chunk after the one at `begin` begins. In a dry run all but the first two and the last are
/// left out: they take the memory that the second one took.
std::int64_t next_chunk(std::int64_t begin, std::int64_t chunk, std::int64_t rows) {
  const std::int64_t last = (rows - 1) / chunk * chunk;
  const bool skips = core::DryRun::current() != nullptr && begin >= chunk && begin < last;
  return skips ? last : begin + chunk;
}

HeadLoss total(const Tensor& losses, const Tensor& targets) {
  if (core::DryRun::current() != nullptr) return {0, losses.elems()};
  constexpr std::int64_t kAtOnce = 512;
  std::array<float, kAtOnce> loss{};
  std::array<std::int32_t, kAtOnce> target{};
  HeadLoss out;
  for (std::int64_t begin = 0; begin < losses.elems(); begin += kAtOnce) {
    const std::int64_t end = std::min(losses.elems(), begin + kAtOnce);
    const auto count = static_cast<std::size_t>(end - begin);
    core::copy_to_host(losses.rows(begin, end), loss.data(), count * sizeof(float));
    core::copy_to_host(targets.rows(begin, end), target.data(), count * sizeof(std::int32_t));
    for (std::size_t i = 0; i < count; ++i) {
      if (target[i] < 0) continue;
      out.sum += static_cast<double>(loss[i]);
      ++out.tokens;
    }
  }
  return out;
}

}  // namespace

std::int64_t HeadSaved::bytes() const {
  std::size_t sum = 0;
  for (const Tensor* tensor : {&dx, &normed, &dnorm, &dlogits, &targets}) {
    if (tensor->defined()) sum += tensor->bytes();
  }
  return static_cast<std::int64_t>(sum);
}

Head::Head(const Options& options, const Params& params, std::int64_t logits_bytes)
    : eps_(static_cast<float>(options.rms_norm_eps)),
      logits_bytes_(logits_bytes),
      norm_(params.weight("model.norm.weight")),
      matrix_(params.weight(options.tie_word_embeddings ? "model.embed_tokens.weight"
                                                        : "lm_head.weight")) {}

std::int64_t Head::chunk_rows(std::int64_t rows) const {
  const core::Tensor& matrix = matrix_.compute();
  const std::int64_t row_bytes =
      matrix.shape()[0] * static_cast<std::int64_t>(core::dtype_bytes(matrix.dtype()));
  const std::int64_t most = std::max<std::int64_t>(1, logits_bytes_ / row_bytes);
  const std::int64_t chunks = (rows + most - 1) / most;
  return (rows + chunks - 1) / chunks;  // chunks of nearly equal size
}

HeadLoss Head::forward(const Tensor& x, const Tensor& targets, float scale, HeadSaved* saved,
                       Gradients gradients, core::Stream& stream) {
  const std::int64_t rows = x.shape()[0];
  const std::int64_t chunk = chunk_rows(rows);
  const Tensor& matrix = matrix_.compute();
  Tensor normed = Tensor::empty(x.shape(), matrix.dtype(), x.device());
  Tensor rstd = Tensor::empty({rows}, core::DType::kF32, x.device());
  kernels::rms_norm_forward(x, norm_.value, eps_, normed, rstd, stream);
  Tensor losses = Tensor::empty({rows}, core::DType::kF32, x.device());
  Tensor dnormed = saved != nullptr ? Tensor::like(x) : Tensor();
  for (std::int64_t begin = 0; begin < rows; begin = next_chunk(begin, chunk, rows)) {
    const std::int64_t end = std::min(rows, begin + chunk);
    Tensor logits = logits_of(normed.rows(begin, end), matrix, stream);
    Tensor loss = losses.rows(begin, end);
    if (saved == nullptr) {
      kernels::cross_entropy_forward(logits, targets.rows(begin, end), loss, stream);
      continue;
    }
    kernels::cross_entropy_forward_backward(logits, targets.rows(begin, end), scale, loss, stream);
    Tensor dchunk = dnormed.rows(begin, end);
    kernels::matmul(logits, matrix, dchunk, {}, stream);
    if (gradients == Gradients::kAdd) {
      linear_backward_weight(logits, normed.rows(begin, end), matrix_.grad, stream);
    } else if (chunk >= rows) {
      saved->dlogits = logits;
    }
  }
  if (saved != nullptr) {
    saved->dnorm = Tensor::like(norm_.value);
    core::fill_zero(saved->dnorm, stream);
    kernels::rms_norm_backward(dnormed, x, norm_.value, rstd, Tensor(), dnormed, saved->dnorm,
                               stream);
    saved->dx = dnormed;
    if (gradients == Gradients::kAdd) {
      kernels::accumulate(saved->dnorm, norm_.grad, stream);
    } else {
      saved->normed = normed;
      saved->targets = targets;
      saved->scale = scale;
    }
  }
  return total(losses, targets);
}

void Head::backward_weight(HeadSaved& saved, core::Stream& stream) {
  if (!saved.normed.defined()) {  // added already
    saved = {};
    return;
  }
  if (saved.dlogits.defined()) {
    linear_backward_weight(saved.dlogits, saved.normed, matrix_.grad, stream);
  } else {
    const std::int64_t rows = saved.normed.shape()[0];
    const std::int64_t chunk = chunk_rows(rows);
    for (std::int64_t begin = 0; begin < rows; begin = next_chunk(begin, chunk, rows)) {
      const std::int64_t end = std::min(rows, begin + chunk);
      const Tensor normed = saved.normed.rows(begin, end);
      Tensor logits = logits_of(normed, matrix_.compute(), stream);
      Tensor losses = Tensor::empty({end - begin}, core::DType::kF32, logits.device());
      kernels::cross_entropy_forward_backward(logits, saved.targets.rows(begin, end), saved.scale,
                                              losses, stream);
      linear_backward_weight(logits, normed, matrix_.grad, stream);
    }
  }
  kernels::accumulate(saved.dnorm, norm_.grad, stream);
  saved = {};
}

}  // namespace rw::model
