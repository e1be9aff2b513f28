// Part of Ropewalk, MIT licence.
#include "core/host_memory.h"

#include <fmt/format.h>

#include <array>
#include <fstream>

namespace rw::core {

double available_bytes() {
  std::ifstream lines("/proc/meminfo");
  std::string key;
  double kib = 0;
  std::string unit;
  while (lines >> key >> kib >> unit) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return 0;
}

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{:.0f} bytes", bytes);
  std::size_t unit = 0;
  for (bytes /= 1024; bytes >= 1024 && unit + 1 < kUnits.size(); bytes /= 1024) ++unit;
  return fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

}  // namespace rw::core
