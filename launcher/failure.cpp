// Part of Ropewalk, MIT licence.
#include "launcher/failure.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string_view>
#include <system_error>

#include "core/error.h"

namespace rw::launcher {
namespace {

constexpr int kExitDevice = 69;

/// What the process may take at most, where that is limited.
std::string limit_text(const char* name, const char* command, decltype(RLIMIT_AS) resource,
                       rlim_t unit) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "";
  return fmt::format("; the limit on {} is {} ({})", name, limit.rlim_cur / unit, command);
}

std::atomic<bool>& ours() {
  static constinit std::atomic<bool> is_ours{false};
  return is_ours;
}

void on_exit_of_process(int status, void* /*nothing*/) {
  if (status != EXIT_FAILURE || ours().load()) return;
  constexpr std::string_view kText =
      "ropewalk: a library ended the program, for the reason above: want more threads or memory "
      "(OMP_NUM_THREADS, ulimit -u, -v), or a launcher that works\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(kExitDevice);
}

}  // namespace

Failure failure_of(const std::exception& error) {
  if (const auto* known = dynamic_cast<const core::Error*>(&error)) {
    return {known->exit_code(), known->what()};
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {
        kExitDevice,
        fmt::format("out of memory: the system gave no more{}; want a smaller job, or a machine "
                    "with more",
                    limit_text("KiB of addresses", "ulimit -v", RLIMIT_AS, 1024))};
  }
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) {
    return {
        kExitDevice,
        fmt::format("cannot start a thread: {}{}{}; want fewer threads or ranks, or higher "
                    "limits",
                    error.what(), limit_text("processes and threads", "ulimit -u", RLIMIT_NPROC, 1),
                    limit_text("KiB of addresses", "ulimit -v", RLIMIT_AS, 1024))};
  }
  return {1, fmt::format("a bug, please report it: {}", error.what())};
}

void answer_exits_of_libraries() { ::on_exit(on_exit_of_process, nullptr); }

void exits_are_ours() { ours().store(true); }

}  // namespace rw::launcher
