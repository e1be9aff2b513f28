// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::core {

/// Bytes of memory that this host can still give without swapping (MemAvailable); 0 where the system
/// does not say.
double available_bytes();

/// "1.5 GiB", in the unit that fits.
std::string bytes_text(double bytes);

}  // namespace rw::core
