// Part of Ropewalk, MIT licence.
#include "kernels/elementwise/twins.h"
#include "kernels/multiversion.h"
#include "kernels/parallel.h"

namespace rw::kernels {
namespace {

using core::BF16;
using core::DType;

RW_CLONES void add_part(const float* a, const float* b, float* out, std::int64_t elems) {
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) out[i] = a[i] + b[i];
}

RW_CLONES void scale_part(float* x, float factor, std::int64_t elems) {
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) x[i] *= factor;
}

RW_CLONES void widen_part(const BF16* x, float* out, std::int64_t elems) {
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) out[i] = static_cast<float>(x[i]);
}

RW_CLONES void narrow_part(const float* x, BF16* out, std::int64_t elems) {
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) out[i] = BF16(x[i]);
}

void add_cpu(const Tensor& a, const Tensor& b, Tensor& out, Stream& /*stream*/) {
  const float* from_a = a.data<float>();
  const float* from_b = b.data<float>();
  float* to = out.data<float>();
  for_elems(out.elems(), [=](std::int64_t begin, std::int64_t end) {
    add_part(from_a + begin, from_b + begin, to + begin, end - begin);
  });
}

void scale_cpu(Tensor& x, float factor, Stream& /*stream*/) {
  float* at = x.data<float>();
  for_elems(x.elems(), [=](std::int64_t begin, std::int64_t end) {
    scale_part(at + begin, factor, end - begin);
  });
}

void fill_cpu(Tensor& x, float value, Stream& /*stream*/) {
  float* at = x.data<float>();
  for_elems(x.elems(),
            [=](std::int64_t begin, std::int64_t end) { std::fill(at + begin, at + end, value); });
}

template <class From, class To, class Part>
void convert_with(const Tensor& x, Tensor& out, const Part& part) {
  const From* from = x.data<From>();
  To* to = out.data<To>();
  for_elems(out.elems(), [&](std::int64_t begin, std::int64_t end) {
    part(from + begin, to + begin, end - begin);
  });
}

void convert_cpu(const Tensor& x, Tensor& out, Stream& /*stream*/) {
  const auto same = [](const auto* from, auto* to, std::int64_t n) { std::copy_n(from, n, to); };
  if (x.dtype() == DType::kF32 && out.dtype() == DType::kBF16) {
    convert_with<float, BF16>(x, out, narrow_part);
  } else if (x.dtype() == DType::kBF16 && out.dtype() == DType::kF32) {
    convert_with<BF16, float>(x, out, widen_part);
  } else if (x.dtype() == DType::kF32) {
    convert_with<float, float>(x, out, same);
  } else {
    convert_with<BF16, BF16>(x, out, same);
  }
}

}  // namespace

const ElementwiseTwins kElementwiseCpu{add_cpu, scale_cpu, fill_cpu, convert_cpu};

}  // namespace rw::kernels
