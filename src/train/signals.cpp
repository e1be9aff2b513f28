// Part of Ropewalk, MIT licence.
#include "train/signals.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "core/error.h"

namespace rw::train {
namespace {

constexpr unsigned kSave = 1;
constexpr unsigned kLeave = 2;
constexpr unsigned kAtOnce = 4;

constexpr int kExitInterrupted = 130;  // as a shell reports these signals
constexpr int kExitTerminated = 143;
constexpr unsigned kPatienceSeconds = 1;  // of who sent TERM
constexpr std::array kRequests{SIGUSR1, SIGUSR2, SIGTERM};

/// A handler has no argument of its own to write to: what came is the process' state.
struct Mailbox {
  std::atomic<unsigned> came{0};
  std::atomic<bool> in_use{false};
  std::atomic<bool> for_life{false};  // by answer_signals()
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
  if (signal == SIGTERM) ::alarm(kPatienceSeconds);
}

extern "C" void ropewalk_leave(int signal) {
  constexpr std::string_view kText = "ropewalk: asked to leave at once: nothing was saved\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(signal == SIGINT ? kExitInterrupted : kExitTerminated);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

sigset_t requests() {
  sigset_t out;
  sigemptyset(&out);
  for (const int signal : kRequests) sigaddset(&out, signal);
  return out;
}

bool take_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw core::Error(core::ErrorKind::kStorage,
                    path + ": cannot remove it: " + core::errno_text(errno) +
                        "; it asks to save or stop, so remove it by hand");
}

}  // namespace

void answer_signals() {
  mailbox().for_life.store(true);
  handle(SIGALRM, ropewalk_leave);
  handle(SIGINT, ropewalk_leave);
  for (const int signal : kRequests) handle(signal, ropewalk_on_signal);
  const sigset_t all = requests();
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
}

void carry_signals_over_exec() {
  if (!mailbox().for_life.load()) return;
  const sigset_t all = requests();
  ::sigprocmask(SIG_BLOCK, &all, nullptr);  // kept over exec, as are signals that wait
  ::alarm(0);
  const unsigned came = mailbox().came.exchange(0);
  if ((came & kLeave) != 0) std::raise(SIGUSR1);
  if ((came & kSave) != 0) std::raise(SIGUSR2);
  if ((came & kAtOnce) != 0) std::raise(SIGTERM);
}

Signals::Signals() {
  if (mailbox().in_use.exchange(true)) {
    throw core::Error(core::ErrorKind::kBug, "Signals: got a second object, want one a process");
  }
  if (mailbox().for_life.load()) return;
  mailbox().came.store(0);
  handle(SIGALRM, ropewalk_leave);
  handlers_.emplace(kRequests, ropewalk_on_signal);
}

Signals::~Signals() {
  handlers_.reset();
  mailbox().in_use.store(false);
}

Signals::Request Signals::take() {
  const unsigned came = mailbox().came.exchange(0);
  if ((came & kAtOnce) != 0) ::alarm(0);  // whoever takes it leaves
  return {(came & kSave) != 0, (came & kLeave) != 0, (came & kAtOnce) != 0};
}

Signals::Request take_trigger_files(const std::string& output_dir) {
  const bool save = take_file(output_dir + "/SAVE");
  const bool stop = take_file(output_dir + "/STOP");
  return {save || stop, stop, false};
}

}  // namespace rw::train
