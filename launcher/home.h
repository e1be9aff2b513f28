// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

namespace rw::launcher {

/// The user's home folder: $HOME, or what the system has of the user; "" when neither says.
std::string home_folder();

}  // namespace rw::launcher
