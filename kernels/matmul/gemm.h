// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>

#include "core/dtype.h"
#include "kernels/matmul/matmul.h"

namespace rw::kernels {

/// Our own matrix product (docs/adr/0005-own-gemm.md): packed panels, a tile of sums in registers, f32
/// accumulation. The engines differ in their tile:
///
///   kAvx2    6 x 16, AVX2 and FMA; bf16 operands become f32 while they are packed
///   kAvx512  6 x 64, AVX-512F; otherwise as kAvx2
///   kDot     32 x 32 by dot products of pairs (AVX512_BF16); subnormal numbers count as 0. f32 operands as
///            kAvx512
///   kAmx     32 x 32 on bf16 tiles (AMX-BF16). f32 operands are taken apart into three numbers of bf16 each,
///            and six products of nine summed up: what is left out is less than f32 rounds away (2^-26 of each
///            term; docs/adr/0014). Subnormal numbers count as 0, numbers below 2^-108 lose bits, infinite ones
///            give NaN
///
/// Sums of one element run over K in one order, whatever the number of threads.
enum class GemmEngine : std::uint8_t { kAvx2, kAvx512, kDot, kAmx };

/// Whether this CPU (and, for tiles, its kernel) can run an engine.
bool gemm_runs_here(GemmEngine engine);
/// The engine of this machine, the last of them that it can run: by instruction set alone, for what changes bits
/// must not depend on a measurement. None where there is no AVX2.
std::optional<GemmEngine> gemm_engine();
/// AVX2 and FMA are there, AVX-512 or not.
bool cpu_has_fma();

/// A row-major matrix; kYes: the product reads it transposed. Rows are `stride` elements apart.
template <class T>
struct GemmMatrix {
  const T* data = nullptr;
  std::int64_t stride = 0;
  Transpose transpose = Transpose::kNo;
};

/// c [m, n] = op(a) [m, k] · op(b) [k, n], or c += it. All sizes >= 1.
struct GemmSizes {
  std::int64_t m = 0, n = 0, k = 0;
  Accumulate c = Accumulate::kNo;
};

/// Longest K for which a bf16 result needs no f32 copy: the sum stays in registers.
std::int64_t gemm_longest_one_pass(GemmEngine engine);

/// T: float or BF16; C: float, or BF16 with k <= gemm_longest_one_pass and no accumulation. c
/// is row-major, its rows `stride` apart. Uses omp_get_max_threads() threads; little work stays on the
/// calling one. Packing buffers belong to the threads and are kept.
template <class T, class C>
void gemm(GemmEngine engine, const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b,
          C* c, std::int64_t stride);

}  // namespace rw::kernels
