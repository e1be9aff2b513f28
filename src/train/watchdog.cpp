// Part of Ropewalk, MIT licence.
#include "train/watchdog.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>

#include "core/error.h"
#include "train/watch_ring.h"

namespace rw::train {
namespace {

using Clock = std::chrono::steady_clock;

void say_goodbye(WatchRing& ring, bool hurry) {
  const std::chrono::milliseconds patience{hurry ? 0 : 500};
  constexpr std::chrono::milliseconds kPause{2};
  const auto end = Clock::now() + patience;
  while (!ring.farewell() && Clock::now() < end) std::this_thread::sleep_for(kPause);
}

}  // namespace

Watchdog::Watchdog(std::unique_ptr<comm::Communicator> own, const WatchdogOptions& options,
                   std::function<void(const std::string&)> on_hang)
    : own_(std::move(own)),
      options_(options),
      on_hang_(std::move(on_hang)),
      exceptions_(std::uncaught_exceptions()) {
  thread_ = std::thread([this] {
    try {
      work();
    } catch (const core::Error&) {
      // The group has ended: the training thread learns the same from its own calls.
    }
  });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    hurry_ = std::uncaught_exceptions() > exceptions_;
  }
  changed_.notify_one();
  thread_.join();
}

void Watchdog::progress(std::int64_t step) {
  step_.store(step);
  calls_.fetch_add(1);
}

void Watchdog::work() {
  WatchRing ring(*own_, options_);
  const std::chrono::duration<double> interval(ring.interval());
  auto last = Clock::now();
  bool complained = false;
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    // A longer gap: this process did not run, and knows nothing about the others' silence.
    const auto now = Clock::now();
    const double passed = std::chrono::duration<double>(now - last).count();
    last = now;
    ring.tick(std::min(passed, 2 * ring.interval()), step_.load(), calls_.load());
    if (const auto complaint = complained ? std::nullopt : ring.complaint()) {
      complained = true;
      on_hang_(*complaint);
    }
    lock.lock();
    changed_.wait_for(lock, interval, [this] { return stop_; });
  }
  const bool hurry = hurry_;
  lock.unlock();
  say_goodbye(ring, hurry);
}

}  // namespace rw::train
