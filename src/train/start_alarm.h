// Part of Ropewalk, MIT licence.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace rw::train {

/// Ends a start that would never end: until the ranks can talk to one another there is no watchdog.
class StartAlarm {
 public:
  /// `on_late` is called from a thread of its own, once, after `seconds` in which this process ran,
  /// unless stop() or the destructor came first; <= 0: never. It must not throw.
  StartAlarm(double seconds, std::function<void()> on_late);
  StartAlarm(const StartAlarm&) = delete;
  StartAlarm& operator=(const StartAlarm&) = delete;
  ~StartAlarm() { stop(); }
  void stop();

 private:
  void work(double seconds);

  std::function<void()> on_late_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace rw::train
