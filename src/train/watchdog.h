// Part of Ropewalk, MIT licence.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "comm/communicator.h"
#include "train/options.h"

namespace rw::train {

/// Notices that the job stands still, and says who does. Every rank's own thread sends heartbeats,
/// each with the last step that its training thread finished, to the next three ranks of a ring,
/// ten per limit and at least one a second. A rank whose heartbeats cease is silent: stopped, or
/// its host is gone. One whose heartbeats go on while its step does not is stuck, or slow. Up to
/// three silent neighbours in the ring are all named. A rank that said goodbye is not watched any
/// more. Time in which this process itself did not run does not count, so that a job which was
/// suspended as a whole goes on.
class Watchdog {
 public:
  /// Collective; `own` is used by nothing else. on_hang is called once at most, from the watchdog's
  /// thread, with a message that names the ranks: after init_s while a rank has not reached progress(0), or
  /// step_s later on (silence: within this time); <= 0: never. It must not throw.
  Watchdog(std::unique_ptr<comm::Communicator> own, const WatchdogOptions& options,
           std::function<void(const std::string& message)> on_hang);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Says goodbye to the neighbours and waits for theirs: half a second at most, and not at all
  /// while an exception unwinds.
  ~Watchdog();
  /// The training thread is alive and has finished `step` (0: ready to begin). Any thread; cheap.
  /// The same step again counts as progress too.
  void progress(std::int64_t step);

 private:
  void work();

  std::unique_ptr<comm::Communicator> own_;
  WatchdogOptions options_;
  std::function<void(const std::string&)> on_hang_;
  std::atomic<std::int64_t> step_{-1};
  std::atomic<std::int64_t> calls_{0};  // of progress
  int exceptions_;                      // under way when this object was made
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  bool hurry_ = false;
  std::thread thread_;
};

}  // namespace rw::train
