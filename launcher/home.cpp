// Part of Ropewalk, MIT licence.
#include "launcher/home.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace rw::launcher {

std::string home_folder() {
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return home;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> text{};
  const int code = ::getpwuid_r(::getuid(), &entry, text.data(), text.size(), &found);
  return code == 0 && found != nullptr && found->pw_dir != nullptr ? found->pw_dir : "";
}

}  // namespace rw::launcher
