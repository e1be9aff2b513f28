// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "kernels/matmul/matmul.h"

namespace rw::kernels {

/// Our own matrix product for CPUs with AVX2 and FMA: packed panels, a 6 x 16 tile of registers, f32
/// accumulation; bf16 operands become f32 while they are packed. It stands in where oneDNN has no
/// better one: see docs/adr/0005-own-gemm.md.
///
/// Sums of one element run over K in one order, whatever the number of threads.
bool gemm_runs_here();
/// AVX2 and FMA are there, AVX-512 or not.
bool cpu_has_fma();

/// A row-major matrix; kYes: the product reads it transposed. Rows are `stride` elements apart.
template <class T>
struct GemmMatrix {
  const T* data = nullptr;
  std::int64_t stride = 0;
  Transpose transpose = Transpose::kNo;
};

/// c [m, n] = alpha · op(a) [m, k] · op(b) [k, n], or c += it. All sizes >= 1.
struct GemmSizes {
  std::int64_t m = 0, n = 0, k = 0;
  float alpha = 1;
  Accumulate c = Accumulate::kNo;
};

/// Longest K for which a bf16 result needs no f32 copy: the sum stays in registers.
inline constexpr std::int64_t kGemmLongestOnePass = 1024;

/// T: float or BF16; C: float, or BF16 with k <= kGemmLongestOnePass and no accumulation. c is
/// row-major, its rows `stride` apart. gemm uses omp_get_max_threads() threads, gemm_serial the
/// calling one alone (inside a parallel region). Packing buffers belong to the threads and are kept.
template <class T, class C>
void gemm(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
          std::int64_t stride);
template <class T, class C>
void gemm_serial(const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b, C* c,
                 std::int64_t stride);

}  // namespace rw::kernels
