// Part of Ropewalk, MIT licence.
#include "metrics/process_memory.h"

#include <fstream>
#include <string>

#include "core/error.h"

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

void reset_peak_memory() {
  std::ofstream out("/proc/self/clear_refs");
  out << '5' << std::flush;
  if (!out) {
    throw core::Error(core::ErrorKind::kStorage,
                      "cannot reset the peak of resident memory through /proc/self/clear_refs");
  }
}

}  // namespace rw::metrics
