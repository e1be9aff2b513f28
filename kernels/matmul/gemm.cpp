// Part of Ropewalk, MIT licence.
#include "kernels/matmul/gemm.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <type_traits>

#include "core/error.h"
#include "kernels/matmul/gemm_bf16.h"
#include "kernels/matmul/gemm_f32.h"

namespace rw::kernels {
namespace {

using core::BF16;

/// AVX512_BF16, and what RW_BF16 takes for granted beside it.
bool dots_are_there() {
  constexpr unsigned kAvx512Bf16 = 1U << 5U;  // leaf 7.1, eax
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (eax & kAvx512Bf16) != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && cpu_has_fma();
}

/// The CPU has bf16 tiles, and the kernel lets this process use them: it must be asked, for a thread's state
/// grows by 8 KiB.
bool tiles_are_ours() {
  constexpr unsigned kAmxBf16 = 1U << 22U, kAmxTile = 1U << 24U;  // leaf 7, edx
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kAmxBf16) == 0 || (edx & kAmxTile) == 0) return false;
  if (!gemm_runs_here(GemmEngine::kDot)) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool cpu_has_fma() {
  static const bool kHas =
      __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  return kHas;
}

bool gemm_runs_here(GemmEngine engine) {
  switch (engine) {
    case GemmEngine::kAvx2:
      return cpu_has_fma();
    case GemmEngine::kAvx512: {
      static const bool kWide = cpu_has_fma() && __builtin_cpu_supports("avx512f") != 0;
      return kWide;
    }
    case GemmEngine::kDot: {
      static const bool kDots = dots_are_there();
      return kDots;
    }
    case GemmEngine::kAmx: {  // asked for when bf16 is multiplied, and not before
      static const bool kTiles = tiles_are_ours();
      return kTiles;
    }
  }
  return false;
}

std::optional<GemmEngine> gemm_engine() {
  for (const GemmEngine engine :
       {GemmEngine::kAmx, GemmEngine::kDot, GemmEngine::kAvx512, GemmEngine::kAvx2}) {
    if (gemm_runs_here(engine)) return engine;
  }
  return std::nullopt;
}

std::int64_t gemm_longest_one_pass(GemmEngine engine) {
  return engine == GemmEngine::kAmx || engine == GemmEngine::kDot ? 4096 : 1024;
}

template <class T, class C>
void gemm(GemmEngine engine, const GemmSizes& by, const GemmMatrix<T>& a, const GemmMatrix<T>& b,
          C* c, std::int64_t stride) {
  if (!gemm_runs_here(engine)) {
    throw core::Error(core::ErrorKind::kDevice, "gemm: this CPU cannot run the engine asked for");
  }
  switch (engine) {
    case GemmEngine::kAvx2:
      return run_gemm<Avx2Engine>(by, a, b, c, stride);
    case GemmEngine::kAvx512:
      return run_gemm<Avx512Engine>(by, a, b, c, stride);
    case GemmEngine::kDot:
      if constexpr (std::is_same_v<T, BF16>) {
        return run_gemm<DotEngine>(by, a, b, c, stride);
      } else {
        return run_gemm<Avx512Engine>(by, a, b, c, stride);
      }
    case GemmEngine::kAmx:
      return run_gemm<AmxEngine<T>>(by, a, b, c, stride);
  }
}

template void gemm(GemmEngine, const GemmSizes&, const GemmMatrix<float>&, const GemmMatrix<float>&,
                   float*, std::int64_t);
template void gemm(GemmEngine, const GemmSizes&, const GemmMatrix<BF16>&, const GemmMatrix<BF16>&,
                   float*, std::int64_t);
template void gemm(GemmEngine, const GemmSizes&, const GemmMatrix<BF16>&, const GemmMatrix<BF16>&,
                   BF16*, std::int64_t);

}  // namespace rw::kernels
