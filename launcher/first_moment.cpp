// Part of Ropewalk, MIT licence.
#include "launcher/first_moment.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string_view>

#include "train/signals.h"

namespace rw::launcher {
namespace {

constexpr int kExitDevice = 69;
constexpr std::uint64_t kLeastAddressBytes = std::uint64_t{256} << 20;

/// Descriptors that are closed get /dev/null, opened the wrong way round: using them stays an error.
void fill_descriptors() {
  for (int wanted = STDIN_FILENO; wanted <= STDERR_FILENO; ++wanted) {
    if (::fcntl(wanted, F_GETFD) != -1) continue;
    // The lowest free number is taken: this one, as those below are there.
    ::open("/dev/null", wanted == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void require_limit(decltype(RLIMIT_AS) resource, std::uint64_t least, std::string_view complaint) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur >= least) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, complaint.data(), complaint.size());
  ::_exit(kExitDevice);
}

}  // namespace

const char* command_of(char** argv) {
  if (argv[0] == nullptr) return nullptr;
  for (char** word = argv + 1; *word != nullptr; ++word) {
    if ((*word)[0] != '-') return *word;
  }
  return nullptr;
}

void stand_ready(char** argv) {
  fill_descriptors();
  require_limit(RLIMIT_STACK, kLeastStackBytes,
                "ropewalk: the stack is too small: want at least ulimit -s 512\n");
  require_limit(RLIMIT_AS, kLeastAddressBytes,
                "ropewalk: the address space is too small: want at least ulimit -v 262144\n");
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  const char* const command = command_of(argv);
  if (command != nullptr && std::strcmp(command, "train") == 0) train::answer_signals();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {
extern "C" void ropewalk_first_moment(int /*argc*/, char** argv, char** /*environment*/) {
  stand_ready(argv);
}
using Early = void (*)(int, char**, char**);
// Libraries start for longer (50 ms) than all that comes before.
[[gnu::section(".preinit_array"), gnu::used]] const Early kEarly = ropewalk_first_moment;
}  // namespace
#endif

}  // namespace rw::launcher
