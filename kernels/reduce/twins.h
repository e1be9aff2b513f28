// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/reduce/reduce.h"

namespace rw::kernels {

struct ReduceTwins {
  static constexpr core::Op kOp = core::Op::kReduce;
  double (*sum_of_squares)(const Tensor& x, Stream& stream);
  double (*sum)(const Tensor& x, Stream& stream);
};
extern const ReduceTwins kReduceCpu;

}  // namespace rw::kernels
