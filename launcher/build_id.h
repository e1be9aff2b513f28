// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

/// What the linker wrote into this program to tell one build from another (the note that `readelf -n`
/// shows), in hexadecimal digits; "" when it wrote none.
std::string build_id();

}  // namespace rw::launcher
