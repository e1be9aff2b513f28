// Part of Ropewalk, MIT licence.
#include <algorithm>
#include <type_traits>

#include "core/buffer.h"
#include "kernels/matmul/converted.h"
#include "kernels/matmul/gemm.h"
#include "kernels/matmul/twins.h"
#include "kernels/parallel.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

template <class T>
GemmMatrix<T> operand(const Tensor& x, Transpose transpose) {
  return {x.data<T>(), x.shape()[1], transpose};
}

/// A bf16 result of longer sums than our GEMM keeps in registers: block by block through f32.
void gemm_and_round(GemmEngine engine, const GemmSizes& by, const GemmMatrix<BF16>& a,
                    const GemmMatrix<BF16>& b, BF16* c) {
  constexpr std::int64_t kEdge = 1024;
  const core::Buffer memory(kEdge * kEdge * sizeof(float), core::Device{});
  auto* sums = static_cast<float*>(memory.address());
  const auto from = [](const GemmMatrix<BF16>& x, std::int64_t first, Transpose along_rows) {
    const std::int64_t step = x.transpose == along_rows ? x.stride : 1;
    return GemmMatrix<BF16>{x.data + first * step, x.stride, x.transpose};
  };
  for (std::int64_t row = 0; row < by.m; row += kEdge) {
    for (std::int64_t column = 0; column < by.n; column += kEdge) {
      const std::int64_t rows = std::min(kEdge, by.m - row);
      const std::int64_t columns = std::min(kEdge, by.n - column);
      gemm(engine, {rows, columns, by.k}, from(a, row, Transpose::kNo),
           from(b, column, Transpose::kYes), sums, columns);
      BF16* to = c + row * by.n + column;
      for_rows(rows, columns, [=, n = by.n](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          row_convert(sums + i * columns, to + i * n, columns);
        }
      });
    }
  }
}

void own_gemm(GemmEngine engine, const Tensor& a, const Tensor& b, Tensor& c,
              const MatmulSizes& sizes, MatmulOptions options) {
  const GemmSizes by{sizes.m, sizes.n, sizes.k, options.c};
  core::visit_float(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto first = operand<T>(a, options.a);
    const auto second = operand<T>(b, options.b);
    if (c.dtype() == core::DType::kF32) {
      gemm(engine, by, first, second, c.data<float>(), sizes.n);
    } else if constexpr (std::is_same_v<T, BF16>) {
      if (sizes.k <= gemm_longest_one_pass(engine)) {
        gemm(engine, by, first, second, c.data<BF16>(), sizes.n);
      } else {
        gemm_and_round(engine, by, first, second, c.data<BF16>());
      }
    }
  });
}

void matmul_cpu(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                MatmulOptions options, Stream& /*stream*/) {
  if (const auto engine = gemm_engine()) {
    own_gemm(*engine, a, b, c, sizes, options);
  } else if (a.dtype() == core::DType::kBF16) {
    matmul_converted(a, b, c, sizes, options);
  } else {
    onednn_gemm({sizes.m, sizes.n, sizes.k, options.c}, operand<float>(a, options.a),
                operand<float>(b, options.b), c.data<float>(), sizes.n);
  }
}

}  // namespace

const MatmulTwins kMatmulCpu{matmul_cpu};

}  // namespace rw::kernels
