// Part of Ropewalk, MIT licence.
#include "train/signals.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include <unistd.h>

#include "core/error.h"

namespace rw::train {
namespace {

constexpr unsigned kSave = 1;
constexpr unsigned kLeave = 2;
constexpr unsigned kAtOnce = 4;

/// A handler has no argument of its own to write to: what came is the process' state.
struct Mailbox {
  std::atomic<unsigned> came{0};
  std::atomic<bool> in_use{false};
  static_assert(std::atomic<unsigned>::is_always_lock_free, "safe in a signal handler");
};

// Constant initialisation: no guard is taken, so a handler may come here.
Mailbox& mailbox() {
  static constinit Mailbox box;
  return box;
}

extern "C" void ropewalk_on_signal(int signal) {
  const unsigned asked = signal == SIGUSR1 ? kSave | kLeave : signal == SIGUSR2 ? kSave : kAtOnce;
  mailbox().came.fetch_or(asked);
}

bool take_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw core::Error(core::ErrorKind::kStorage,
                    path + ": cannot remove it: " + core::errno_text(errno) +
                        "; it asks to save or stop, so remove it by hand");
}

}  // namespace

Signals::Signals() {
  if (mailbox().in_use.exchange(true)) {
    throw core::Error(core::ErrorKind::kBug, "Signals: got a second object, want one a process");
  }
  mailbox().came.store(0);
  handlers_.emplace(std::array{SIGUSR1, SIGUSR2, SIGTERM}, ropewalk_on_signal);
}

Signals::~Signals() {
  handlers_.reset();
  mailbox().in_use.store(false);
}

Signals::Request Signals::take() {
  const unsigned came = mailbox().came.exchange(0);
  return {(came & kSave) != 0, (came & kLeave) != 0, (came & kAtOnce) != 0};
}

Signals::Request take_trigger_files(const std::string& output_dir) {
  const bool save = take_file(output_dir + "/SAVE");
  const bool stop = take_file(output_dir + "/STOP");
  return {save || stop, stop, false};
}

}  // namespace rw::train
