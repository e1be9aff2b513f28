// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/matmul/matmul.h"

namespace rw::kernels {

/// Sizes of one product, checked: c [m, n] = op(a) [m, k] · op(b) [k, n].
struct MatmulSizes {
  std::int64_t m = 0, n = 0, k = 0;
  bool operator==(const MatmulSizes&) const = default;
};

struct MatmulTwins {
  static constexpr core::Op kOp = core::Op::kMatmul;
  void (*matmul)(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                 MatmulOptions options, Stream& stream);
};
extern const MatmulTwins kMatmulCpu;

}  // namespace rw::kernels
