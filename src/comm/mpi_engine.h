// Part of Ropewalk, MIT licence.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "comm/mpi_requests.h"
#include "core/error.h"

namespace rw::comm {

/// One call under way: its steps run on the communication thread, each when the messages of the one
/// before it have ended.
class MpiTask : public Ticket::State {
 public:
  using Step = std::function<void(MpiIo&)>;
  MpiTask(std::string name, MpiIo io, std::vector<Step> steps,
          std::shared_ptr<const std::atomic<double>> timeout)
      : name_(std::move(name)),
        io_(std::move(io)),
        steps_(std::move(steps)),
        timeout_(std::move(timeout)) {}
  bool done() override;
  void wait() override;
  /// What the caller's thread does when it learns of the end; set before the task is handed over.
  void set_take(std::function<void()> take) { take_ = std::move(take); }
  /// Its first step comes when `task` (nullptr: nothing) is over. Set before it is handed over.
  void set_after(std::shared_ptr<MpiTask> task) { after_ = std::move(task); }

  // The communication thread's side.
  bool advance();  // true when something moved
  bool over() const { return over_; }
  bool finished() const;  // no more steps, or failed
  void fail(const core::Error& error);

 private:
  void finish(std::optional<core::Error> error);
  void take_result(std::unique_lock<std::mutex>& lock);
  void check_deadline();
  bool must_wait();

  const std::string name_;
  MpiIo io_;
  std::vector<Step> steps_;  // own the buffers of the messages under way
  std::size_t next_ = 0;
  std::shared_ptr<MpiTask> after_;  // until it is over
  bool over_ = false;               // the communication thread's own copy of done_
  std::function<void()> take_;
  const std::shared_ptr<const std::atomic<double>> timeout_;  // the communicator's
  std::atomic<std::int64_t> deadline_ns_{0};                  // steady clock; 0: none
  double waited_s_ = 0;                                       // written before deadline_ns_
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::optional<core::Error> error_;
};

/// Counts calls that have ended, and wakes those who wait for one more.
class EventCount {
 public:
  void add();
  std::uint64_t count() const;
  void wait(std::uint64_t seen, double seconds);  // seconds < 0: for ever

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
};

/// How long the communication thread sleeps between two looks at its messages. MPI wakes nobody,
/// and a nap costs more than a look (20 us of processor time, of any length, to 2): so for 20 us
/// after something moved it looks again and again, giving way to whoever wants the core; then it
/// sleeps for 1/32 of the time that nothing has moved, 50 us to 1 ms, and after a second 1/1000 of
/// it, up to 4 ms. A message is found late by half a nap: 1.6 % of its wait, and less after 32 ms.
class MpiPatience {
 public:
  using Clock = std::chrono::steady_clock;
  /// Something moved, or was begun.
  void moved(Clock::time_point now) { last_move_ = now; }
  /// Zero: look again at once.
  std::chrono::microseconds nap(Clock::time_point now) const;

 private:
  Clock::time_point last_move_ = Clock::now();
};

/// The communication thread of a process: starts calls in the order they were handed over and moves
/// them on. Sleeps while nothing is under way, and by MpiPatience while nothing moves.
class MpiEngine {
 public:
  explicit MpiEngine(std::size_t chunk_bytes);  // longer messages travel in pieces
  MpiEngine(const MpiEngine&) = delete;
  MpiEngine& operator=(const MpiEngine&) = delete;
  ~MpiEngine();
  MpiRequests& requests() { return requests_; }
  EventCount& ended() { return ended_; }
  void submit(std::shared_ptr<MpiTask> task);  // throws Error{kComm} after stop()
  /// Gives messages that are being sent up to `seconds`, drops receives, ends the thread. True when
  /// nothing was left under way. Later calls fail.
  bool stop(double seconds);

 private:
  void work();
  bool move_all();
  bool drain();

  MpiRequests requests_;
  EventCount ended_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<MpiTask>> queue_;  // shared with their tickets
  std::atomic<double> stop_seconds_{-1};        // >= 0: asked to stop
  bool clean_ = false;                          // written before the thread ends
  std::vector<std::shared_ptr<MpiTask>> active_;
  std::thread thread_;
};

}  // namespace rw::comm
