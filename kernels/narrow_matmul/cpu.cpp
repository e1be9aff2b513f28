// Part of Ropewalk, MIT licence.
#include "kernels/multiversion.h"
#include "kernels/narrow_matmul/columns.h"
#include "kernels/narrow_matmul/twins.h"
#include "kernels/parallel.h"

namespace rw::kernels {
namespace {

void narrow_matmul_cpu(const Tensor& x, const Tensor& w, Tensor& y, Stream& /*stream*/) {
  NarrowProduct by;
  by.x = x.data<float>();
  by.rows = x.shape()[0];
  by.w = w.address();
  by.k = x.shape()[1];
  by.x_stride = by.k;
  by.y = y.data<float>();
  by.y_stride = w.shape()[0];
  for_parts(w.shape()[0], by.rows * by.k, kNarrowGrain, [&](std::int64_t begin, std::int64_t end) {
    narrow_loops().columns(w.dtype(), by, begin, end);
  });
}

}  // namespace

const NarrowLoops& narrow_loops() {
  switch (cpu_level()) {
    case CpuLevel::kAvx512:
      return kNarrowAvx512;
    case CpuLevel::kAvx2:
      return kNarrowAvx2;
    case CpuLevel::kBaseline:
      break;
  }
  return kNarrowBaseline;
}

const NarrowMatmulTwins kNarrowMatmulCpu{narrow_matmul_cpu};

}  // namespace rw::kernels
