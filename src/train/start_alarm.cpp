// Part of Ropewalk, MIT licence.
#include "train/start_alarm.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rw::train {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ostringstream text;  // no iterators: they throw when the process ends while it is read
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// Whether /proc/PID/stat is that of a stopped child of this process' parent.
bool is_stopped_sibling(const std::string& stat) {
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return false;
  std::istringstream rest(stat.substr(name_end + 1));
  char state = 0;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent == ::getppid() && (state == 'T' || state == 't');
}

/// The value of `name` in the environment of /proc/PID/environ; empty: not there.
std::string variable(const std::string& environ, const std::string& name) {
  const std::string text = '\0' + environ;
  const std::string key = '\0' + name + '=';
  const auto found = text.find(key);
  return found == std::string::npos ? "" : std::string(text.c_str() + found + key.size());
}

}  // namespace

StartAlarm::StartAlarm(double seconds, std::function<void()> on_late)
    : on_late_(std::move(on_late)) {
  if (seconds > 0) thread_ = std::thread([this, seconds] { work(seconds); });
}

void StartAlarm::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StartAlarm::work(double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr double kSlice = 0.5;  // a longer gap: this process did not run, which does not count
  std::unique_lock lock(mutex_);
  for (double ran = 0; ran < seconds;) {
    const auto begin = Clock::now();
    const std::chrono::duration<double> slice(std::min(kSlice, seconds - ran));
    if (changed_.wait_for(lock, slice, [this] { return stop_; })) return;
    ran += std::min(std::chrono::duration<double>(Clock::now() - begin).count(), 2 * kSlice);
  }
  lock.unlock();
  on_late_();
}

std::string stopped_ranks(const std::vector<std::string>& rank_variables) {
  std::string out;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/proc", code)) {
    if (!is_stopped_sibling(read_file(entry.path() / "stat"))) continue;
    const std::string environ = read_file(entry.path() / "environ");
    for (const auto& name : rank_variables) {
      const std::string rank = variable(environ, name);
      if (rank.empty()) continue;
      out += (out.empty() ? "rank " : "; rank ") + rank + " is stopped";
      break;
    }
  }
  return out;
}

}  // namespace rw::train
