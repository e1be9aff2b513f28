// Part of Ropewalk, MIT licence.
#include "core/random_name.h"

#include <fmt/format.h>

#include <random>

namespace rw::core {

std::string random_name() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device() & 0xffffffffU, device() & 0xffffffffU);
}

}  // namespace rw::core
