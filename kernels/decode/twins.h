// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/decode/decode.h"

namespace rw::kernels {

struct DecodeTwins {
  static constexpr core::Op kOp = core::Op::kDecode;
  void (*decode)(const DecodeModel& model, std::span<const DecodeRow> rows, DecodeScratch& scratch,
                 Tensor& logits, Stream& stream);
};
extern const DecodeTwins kDecodeCpu;

}  // namespace rw::kernels
