// Part of Ropewalk, MIT licence.
#pragma once

/// The only place of #ifdef: what differs between compilers.
#ifdef __CUDACC__
#define RW_HOST_DEVICE __host__ __device__
#else
#define RW_HOST_DEVICE
#endif

namespace rw::core {
inline constexpr const char* kVersion = "0.1.0";
}  // namespace rw::core
