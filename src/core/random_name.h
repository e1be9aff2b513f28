// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::core {

/// 16 hexadecimal digits from the system's random source, for names that nobody can foresee. No
/// number of a run depends on them.
std::string random_name();

}  // namespace rw::core
