// Part of Ropewalk, MIT licence.
#include "launcher/thread_limits.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "kernels/threads.h"
#include "launcher/first_moment.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

constexpr int kMostThreadsPerCore = 16;
constexpr int kMostThreads = 256;  // on any machine; more only with more cores
constexpr std::uint64_t kKibi = 1024;

std::optional<std::string> variable(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

/// A whole number in decimal digits at the front of `text`, which goes.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// The value of `name` from 1 to `most`; nothing: not set.
std::optional<int> count_of(const char* name, int most) {
  const auto given = variable(name);
  if (!given || trimmed(*given).empty()) return std::nullopt;
  std::string_view text = trimmed(*given);
  const auto value = take_number(text);
  if (value && text.empty() && *value >= 1 && *value <= static_cast<std::uint64_t>(most)) {
    return static_cast<int>(*value);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: got '{}', want one whole number from 1 to {}; try unset {}", name,
                          *given, most, name));
}

int most_threads() { return std::max(kMostThreads, kMostThreadsPerCore * usable_cores()); }

/// Bytes of a size as OMP_STACKSIZE has it: kilobytes, or with B, K, M or G; nothing: no such size.
std::optional<std::uint64_t> size_of(std::string_view text) {
  text = trimmed(text);
  auto value = take_number(text);
  text = trimmed(text);
  if (!value || text.size() > 1) return std::nullopt;
  constexpr std::string_view kUnits = "BKMG";
  const char unit =
      text.empty() ? 'K' : static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  const auto power = kUnits.find(unit);
  if (power == kUnits.npos) return std::nullopt;
  const std::uint64_t factor = std::uint64_t{1} << (10 * power);
  if (*value > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
  return *value * factor;
}

/// Which variable says the stack of OpenMP's threads; nullptr: none.
const char* stack_variable() {
  for (const char* name : {"OMP_STACKSIZE", "GOMP_STACKSIZE"}) {
    if (std::getenv(name) != nullptr) return name;
  }
  return nullptr;
}

/// 0: the system's own.
std::uint64_t asked_stack() {
  const char* const name = stack_variable();
  if (name == nullptr) return 0;
  const std::string given = std::getenv(name);
  const auto bytes = size_of(given);
  if (bytes && *bytes >= kLeastStackBytes &&
      *bytes <= std::numeric_limits<std::uint64_t>::max() / 4) {
    return *bytes;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: got '{}', want a size of at least {}K, such as 4M; try unset {}",
                          name, given, kLeastStackBytes / kKibi, name));
}

/// Threads that wait until all of them are there.
class Crowd {
 public:
  explicit Crowd(std::uint64_t stack) {
    ::pthread_attr_init(&attributes_);
    if (stack > 0) fits_ = ::pthread_attr_setstacksize(&attributes_, stack) == 0;
    ::pthread_mutex_lock(&closed_);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() {
    ::pthread_mutex_unlock(&closed_);
    for (const pthread_t thread : threads_) ::pthread_join(thread, nullptr);
    ::pthread_attr_destroy(&attributes_);
  }
  /// 0, or why there is none.
  int add() {
    if (!fits_) return EINVAL;
    pthread_t thread{};
    const int problem = ::pthread_create(&thread, &attributes_, wait, &closed_);
    if (problem == 0) threads_.push_back(thread);
    return problem;
  }

 private:
  static void* wait(void* closed) {
    auto* const mutex = static_cast<pthread_mutex_t*>(closed);
    ::pthread_mutex_lock(mutex);
    ::pthread_mutex_unlock(mutex);
    return nullptr;
  }
  pthread_attr_t attributes_{};
  bool fits_ = true;
  pthread_mutex_t closed_ = PTHREAD_MUTEX_INITIALIZER;
  std::vector<pthread_t> threads_;
};

}  // namespace

int usable_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return std::max(1, CPU_COUNT(&allowed));
}

int asked_threads() {
  const int most = most_threads();
  const auto limit = count_of("OMP_THREAD_LIMIT", std::numeric_limits<int>::max());
  const auto count = count_of("OMP_NUM_THREADS", most);
  if (count && limit && *count > *limit) {
    throw Error(ErrorKind::kUsage, fmt::format("OMP_NUM_THREADS: got {}, want at most "
                                               "OMP_THREAD_LIMIT, which is {}",
                                               *count, *limit));
  }
  return count.value_or(0);
}

void try_own_threads() {
  asked_threads();
  try_threads(kernels::threads());
}

void try_threads(int count) {
  Crowd crowd(asked_stack());
  for (int i = 0; i < count; ++i) {
    const int problem = crowd.add();
    if (problem == 0) continue;
    const char* const name = stack_variable();
    const auto why =
        fmt::format("the system gives {} of {} threads: {}", i, count, core::errno_text(problem));
    if (name != nullptr) {
      throw Error(ErrorKind::kUsage, fmt::format("{}: got '{}', with which {}; want less", name,
                                                 std::getenv(name), why));
    }
    throw Error(ErrorKind::kDevice,
                fmt::format("threads: {}; want fewer (OMP_NUM_THREADS), or higher limits (ulimit "
                            "-u, ulimit -v)",
                            why));
  }
}

}  // namespace rw::launcher
