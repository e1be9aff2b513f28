// Part of Ropewalk, MIT licence.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "comm/communicator.h"
#include "core/error.h"

namespace rw::comm {

/// The world of `ranks` threads of one process, in rank order. Each object is used by its rank;
/// they may outlive each other.
std::vector<std::unique_ptr<Communicator>> make_hub_world(int ranks);

/// One call that several ranks take part in: a collective or a message. Guarded by the hub's mutex
/// except for the tensors while its jobs run.
struct HubOp {
  enum class Status : std::uint8_t { kGathering, kRunning, kDone };
  Status status = Status::kGathering;
  std::string name;          // "all_reduce_sum f32 [4]": must be the same on all ranks
  std::vector<int> missing;  // ranks of the job that have not called yet
  std::optional<core::Error> error;
  std::int64_t jobs_left = 0;
  // What the ranks brought, by rank of the group. A Tensor kept here keeps its memory alive.
  std::vector<core::Tensor> in, out;
  std::vector<std::vector<core::Tensor>> parts;  // by rank, then by the rank that owns the part
  std::vector<std::vector<double>> doubles;
  std::vector<std::vector<std::uint64_t>> words;
  std::vector<std::string> texts;
  std::shared_ptr<struct HubGroup> child;  // made by subgroup and duplicate
  /// Lets the tensors go first: whoever sees that it is done finds them held by their owners alone,
  /// so that what a rank has in memory does not depend on when the others look.
  void end();
};

struct HubJob {
  std::shared_ptr<HubOp> op;
  std::function<void()> run;
};

/// Ranks that talk with one another, shared by their communicators. Guarded by the hub's mutex.
struct HubGroup {
  struct Channel {
    std::deque<std::shared_ptr<HubOp>> sends, receives;  // at most one of them is not empty
  };
  explicit HubGroup(std::vector<int> job_ranks);
  std::vector<int> ranks;           // ranks of the job by rank of the group
  std::vector<std::int64_t> calls;  // collective calls so far, by rank of the group
  std::map<std::int64_t, std::shared_ptr<HubOp>> open;    // collectives that wait for ranks
  std::map<std::tuple<int, int, int>, Channel> channels;  // by from, to, tag
};

/// Where the ranks of one process meet: all state under one mutex, a worker thread that moves bytes
/// while the ranks compute. A rank that waits helps with the jobs that are ready.
class Hub {
 public:
  explicit Hub(int ranks);
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  ~Hub();
  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  /// All of these want the lock held.
  void require_alive() const;  // throws the failure
  const std::optional<core::Error>& failure() const { return failure_; }
  void fail(const std::string& message);  // every pending and later call: Error{kRankLost}
  /// All ranks of `op` are there. Small work is done at once, by the caller.
  void start(std::unique_lock<std::mutex>& lock, const std::shared_ptr<HubOp>& op,
             std::vector<std::function<void()>> jobs, std::size_t bytes);
  /// Returns once `op` is done; seconds <= 0: for ever. Throws what it failed with.
  void wait(std::unique_lock<std::mutex>& lock, HubOp& op, double seconds);
  /// How often something ended or failed; and the wait for the next time (communicator.h).
  std::uint64_t events() const { return events_; }
  void wait_event(std::unique_lock<std::mutex>& lock, std::uint64_t seen, double seconds);

 private:
  bool run_one(std::unique_lock<std::mutex>& lock);
  void run(std::unique_lock<std::mutex>& lock, HubJob job);
  void work();
  void tell();  // everybody who waits, that something ended

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t events_ = 0;
  std::deque<HubJob> jobs_;
  std::optional<core::Error> failure_;
  bool stop_ = false;
  std::thread worker_;  // none for one rank: all work is done in the calls
};

}  // namespace rw::comm
