// Part of Ropewalk, MIT licence.
#include "metrics/process_memory.h"

#include <fstream>
#include <string>

namespace rw::metrics {

ProcessMemory process_memory() {
  constexpr std::uint64_t kKibi = 1024;
  ProcessMemory out;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t* into = nullptr;
    if (word == "VmRSS:") into = &out.resident_bytes;
    if (word == "VmHWM:") into = &out.peak_bytes;
    if (into != nullptr && status >> *into) *into *= kKibi;
  }
  return out;
}

}  // namespace rw::metrics
