// Part of Ropewalk, MIT licence.
#include "launcher/shared_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <thread>

#include "comm/session.h"
#include "core/error.h"
#include "core/random_name.h"
#include "launcher/assemble.h"
#include "launcher/ranks.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

/// The lock's file gets `token`, also for those who see it over a network.
void write_token(const RunLock& lock, const std::string& token) {
  const bool good =
      ::ftruncate(lock.get(), 0) == 0 &&
      ::pwrite(lock.get(), token.data(), token.size(), 0) == static_cast<ssize_t>(token.size()) &&
      ::fdatasync(lock.get()) == 0;
  if (!good) {
    throw core::Error(core::ErrorKind::kStorage,
                      fmt::format("output_dir: cannot write to its .lock: {}; choose another with "
                                  "output_dir=PATH",
                                  core::errno_text(errno)));
  }
}

/// Whether the lock's file holds `token`, or comes to do so: networks take a moment.
bool comes_to_hold(const std::string& path, std::string_view token) {
  constexpr int kTries = 50;
  constexpr auto kPause = std::chrono::milliseconds(100);
  constexpr std::uint64_t kMostBytes = 4096;
  const auto store = store::make_posix();
  for (int i = 0; i < kTries; ++i) {
    if (i > 0) std::this_thread::sleep_for(kPause);
    try {
      if (store::read_whole(*store, path, kMostBytes) == token) return true;
    } catch (const core::Error&) {  // not there yet
    }
  }
  return false;
}

}  // namespace

void require_shared_folder(comm::Communicator& world, const std::string& output_dir,
                           const RunLock& lock) {
  std::string token;
  together(world, [&] {
    if (world.rank() != 0) return;
    token = core::random_name();
    write_token(lock, token);
  });
  token = world.gather_text(token).front();
  const std::string path = (std::filesystem::path(output_dir) / ".lock").string();
  std::string blind;
  if (world.rank() != 0 && !comes_to_hold(path, token)) {
    std::error_code code;
    blind = fmt::format("rank {} on {} does not see in {} what rank 0 writes there", world.rank(),
                        comm::host_name(), std::filesystem::absolute(output_dir, code).string());
  }
  for (const std::string& text : world.gather_text(blind)) {
    if (text.empty()) continue;
    throw AgreedFailure{kExitUsage,
                        fmt::format("output_dir: {}; want a folder that all hosts share, and ranks "
                                    "that are started in the same folder; try an absolute path",
                                    text)};
  }
}

}  // namespace rw::launcher
