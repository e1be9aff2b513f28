// Part of Ropewalk, MIT licence.
#pragma once

/// The only place of #ifdef: what differs between compilers.
#ifdef __CUDACC__
#define RW_HOST_DEVICE __host__ __device__
#else
#define RW_HOST_DEVICE
#endif

/// For what loops over elements call: it belongs into every copy that is made for an instruction set
/// (kernels/multiversion.h), and GCC inlines nothing into those but what must be.
#if defined(__GNUC__) && !defined(__CUDACC__)
#define RW_ALWAYS_INLINE __attribute__((always_inline))
#else
#define RW_ALWAYS_INLINE
#endif

namespace rw::core {
inline constexpr const char* kVersion = "0.1.0";
}  // namespace rw::core
