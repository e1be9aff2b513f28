// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::metrics {

/// Monotonic time in nanoseconds since an arbitrary moment, the same for all processes of a host.
std::int64_t now_ns();

/// Seconds since 1970, for people and files only; may jump.
double wall_s();

}  // namespace rw::metrics
