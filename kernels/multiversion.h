// Part of Ropewalk, MIT licence.
#pragma once

/// RW_CLONES before a function: the compiler makes one copy per instruction set (baseline, AVX2,
/// AVX-512 with BW, CD, DQ and VL) and the loader picks the best one for this CPU. For plain loops over pointers, marked
/// `#pragma omp simd`; what they call must be RW_ALWAYS_INLINE (core/build.h), or it stays a call. Sanitizers cannot start with such functions,
/// so there the baseline copy alone is built.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RW_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RW_SANITIZED 1
#endif
#endif

#if defined(__x86_64__) && !defined(RW_SANITIZED)
#define RW_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define RW_CLONES
#endif

namespace rw::kernels {

/// For loops that plain C++ does not bring to speed: files compiled with options of their own
/// (kernels/CMakeLists.txt), of which the program takes the best that this CPU can run.
enum class CpuLevel { kBaseline, kAvx2, kAvx512 };  // kAvx2: with FMA

inline CpuLevel cpu_level() {
#if defined(__x86_64__)
  static const CpuLevel kLevel = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return CpuLevel::kAvx512;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return avx2 ? CpuLevel::kAvx2 : CpuLevel::kBaseline;
  }();
  return kLevel;
#else
  return CpuLevel::kBaseline;
#endif
}

/// Tells the CPU that this thread is waiting for another.
inline void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace rw::kernels
