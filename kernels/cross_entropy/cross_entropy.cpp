// Part of Ropewalk, MIT licence.
#include "kernels/cross_entropy/cross_entropy.h"

#include "kernels/check.h"
#include "kernels/cross_entropy/twins.h"

namespace rw::kernels {
namespace {

void require_fit(const char* op, const Tensor& logits, const Tensor& targets, const Tensor& losses,
                 const Stream& stream) {
  require_rank(op, "logits", logits, 2);
  const std::int64_t n = logits.shape()[0];
  require_arguments(op, stream,
                    {{"logits", &logits, logits.shape(), float_dtype(op, "logits", logits)},
                     {"targets", &targets, {n}, core::DType::kI32},
                     {"losses", &losses, {n}}});
  if (logits.shape()[1] < 1) refuse(op, "logits " + logits.text(), "at least one column");
}

}  // namespace

void cross_entropy_forward(const Tensor& logits, const Tensor& targets, Tensor& losses,
                           Stream& stream) {
  require_fit("cross_entropy_forward", logits, targets, losses, stream);
  core::twins<CrossEntropyTwins>(logits.device()).forward(logits, targets, losses, stream);
}

void cross_entropy_forward_backward(Tensor& logits, const Tensor& targets, float scale,
                                    Tensor& losses, Stream& stream) {
  require_fit("cross_entropy_forward_backward", logits, targets, losses, stream);
  core::twins<CrossEntropyTwins>(logits.device())
      .forward_backward(logits, targets, scale, losses, stream);
}

}  // namespace rw::kernels
