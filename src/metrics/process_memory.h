// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::metrics {

/// Physical memory of this process, as the kernel counts it (VmRSS and VmHWM of /proc/self/status);
/// 0 where there is no such file. Pages of files that are mapped count too.
struct ProcessMemory {
  std::uint64_t resident_bytes = 0;  // now
  std::uint64_t peak_bytes = 0;      // the most so far
};
ProcessMemory process_memory();
/// From now on the peak counts anew. Throws Error{kStorage} where the kernel does not allow it.
void reset_peak_memory();

}  // namespace rw::metrics
