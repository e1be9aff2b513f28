// Part of Ropewalk, MIT licence.
#include "launcher/waiting_policy.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>

#include "launcher/first_moment.h"
#include "train/signals.h"

namespace rw::launcher {
namespace {

constexpr const char* kSpinCount = "10000";
constexpr std::array<std::string_view, 5> kComputing{"train", "bench", "eval", "generate", "plan"};

bool computes(char** argv) {
  const char* const command = command_of(argv);
  return command != nullptr &&
         std::find(kComputing.begin(), kComputing.end(), command) != kComputing.end();
}

/// The path of this program, so that the process keeps its name; "" when it cannot be told.
std::string program() {
  std::array<char, PATH_MAX> path{};
  const auto length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  return length > 0 ? std::string(path.data(), static_cast<std::size_t>(length)) : "";
}

}  // namespace

void set_waiting_policy(char** argv) {
  if (!computes(argv)) return;
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (::setenv("GOMP_SPINCOUNT", kSpinCount, 0) != 0) return;
  const std::string path = program();
  if (path.empty()) return;
  train::carry_signals_over_exec();
  ::execv(path.c_str(), argv);
  stand_ready(argv);  // it could not: what was carried comes now
}

}  // namespace rw::launcher
