// Part of Ropewalk, MIT licence.
#pragma once
#include <mpi.h>

#include <atomic>
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
#include "core/error.h"

namespace rw::comm {

/// Messages that one step of a call has under way. Used by the communication thread only.
class MpiIo {
 public:
  /// `ranks`: of the job, by rank of the group. Messages longer than chunk_bytes travel in pieces.
  /// `sent` counts the bytes of its sends; it outlives this object.
  MpiIo(MPI_Comm group, std::vector<int> ranks, std::size_t chunk_bytes,
        std::atomic<std::uint64_t>& sent)
      : group_(group), ranks_(std::move(ranks)), chunk_bytes_(chunk_bytes), sent_(&sent) {}
  void send(const void* from, std::size_t bytes, int to, int tag);
  void receive(void* to, std::size_t bytes, int from, int tag);
  /// True when a message ended since the last call. Throws Error{kComm}.
  bool progress();
  bool idle() const { return pending_.empty(); }
  bool sending() const;
  void cancel_receives();
  std::string absent() const;  // "rank 2, rank 3": whom the messages wait for, as ranks of the job

 private:
  struct Pending {
    MPI_Request request;
    std::size_t bytes;
    int peer;
    bool sends;
  };
  void check(int code, const char* call, int peer) const;
  MPI_Comm group_;
  std::vector<int> ranks_;
  std::size_t chunk_bytes_;
  std::atomic<std::uint64_t>* sent_;
  std::vector<Pending> pending_;
};

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

  // The communication thread's side.
  bool advance();  // true when something moved
  bool over() const { return over_; }
  bool finished() const;   // no more steps, or failed
  bool abandoned() const;  // failed, with messages still under way
  void fail(const core::Error& error);
  MpiIo& io() { return io_; }

 private:
  void finish(std::optional<core::Error> error);
  void take_result(std::unique_lock<std::mutex>& lock);
  void check_deadline();

  const std::string name_;
  MpiIo io_;
  std::vector<Step> steps_;  // own the buffers of the messages under way
  std::size_t next_ = 0;
  bool over_ = false;  // the communication thread's own copy of done_
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

/// The communication thread of a process: starts calls in the order they were handed over and moves
/// them on. Sleeps while nothing is under way, and ever longer (up to 1 ms) while nothing moves.
class MpiEngine {
 public:
  explicit MpiEngine(std::size_t chunk_bytes);
  MpiEngine(const MpiEngine&) = delete;
  MpiEngine& operator=(const MpiEngine&) = delete;
  ~MpiEngine();
  std::size_t chunk_bytes() const { return chunk_bytes_; }
  /// Bytes that calls of this process have sent so far, to itself included.
  std::atomic<std::uint64_t>& sent() { return sent_; }
  EventCount& ended() { return ended_; }
  void submit(std::shared_ptr<MpiTask> task);  // throws Error{kComm} after stop()
  /// Gives messages that are being sent up to `seconds`, drops receives, ends the thread. True when
  /// nothing was left under way. Later calls fail.
  bool stop(double seconds);

 private:
  void work();
  bool move_all();
  bool drain();

  const std::size_t chunk_bytes_;
  std::atomic<std::uint64_t> sent_{0};
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
