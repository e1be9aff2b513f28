// Part of Ropewalk, MIT licence.
#include <algorithm>
#include <type_traits>

#include "kernels/elementwise/twins.h"
#include "kernels/multiversion.h"
#include "kernels/parallel.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

RW_CLONES void add_part(const float* a, const float* b, float* out, std::int64_t elems) {
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) out[i] = a[i] + b[i];
}

RW_CLONES void scale_part(float* x, float factor, std::int64_t elems) {
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) x[i] *= factor;
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

template <class From, class To>
void convert_from_to(const Tensor& x, Tensor& out) {
  const From* from = x.data<From>();
  To* to = out.data<To>();
  for_elems(out.elems(), [=](std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_same_v<From, To>) {
      std::copy_n(from + begin, end - begin, to + begin);
    } else {
      row_convert(from + begin, to + begin, end - begin);
    }
  });
}

void convert_cpu(const Tensor& x, Tensor& out, Stream& /*stream*/) {
  core::visit_float(x.dtype(), [&](auto from) {
    core::visit_float(out.dtype(), [&](auto to) {
      convert_from_to<typename decltype(from)::type, typename decltype(to)::type>(x, out);
    });
  });
}

}  // namespace

const ElementwiseTwins kElementwiseCpu{add_cpu, scale_cpu, fill_cpu, convert_cpu};

}  // namespace rw::kernels
