// Part of Ropewalk, MIT licence.
#include "launcher/waiting_policy.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>

namespace rw::launcher {
namespace {

constexpr const char* kSpinCount = "10000";
constexpr std::array<std::string_view, 5> kComputing{"train", "bench", "eval", "generate", "plan"};

bool computes(char** argv) {
  for (char** word = argv + 1; *word != nullptr; ++word) {
    if ((*word)[0] == '-') continue;
    return std::find(kComputing.begin(), kComputing.end(), *word) != kComputing.end();
  }
  return false;
}

/// The path of this program, so that the process keeps its name; "" when it cannot be told.
std::string program() {
  std::array<char, PATH_MAX> path{};
  const auto length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  return length > 0 ? std::string(path.data(), static_cast<std::size_t>(length)) : "";
}

}  // namespace

void set_waiting_policy(char** argv) {
  if (argv[0] == nullptr || !computes(argv)) return;
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (::setenv("GOMP_SPINCOUNT", kSpinCount, 0) != 0) return;
  const std::string path = program();
  if (!path.empty()) ::execv(path.c_str(), argv);
}

}  // namespace rw::launcher
