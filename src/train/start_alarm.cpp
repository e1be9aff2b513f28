// Part of Ropewalk, MIT licence.
#include "train/start_alarm.h"

#include <algorithm>
#include <chrono>

namespace rw::train {

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

}  // namespace rw::train
