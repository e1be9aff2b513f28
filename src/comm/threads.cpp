// Part of Ropewalk, MIT licence.
#include "comm/threads.h"

#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>

#include "comm/hub.h"
#include "core/arena.h"

namespace rw::comm {
namespace {

/// The first exception of any rank.
class FirstCause {
 public:
  void set(std::exception_ptr cause) {
    const std::lock_guard lock(mutex_);
    if (cause_ == nullptr) cause_ = std::move(cause);
  }
  void rethrow() const {
    if (cause_ != nullptr) std::rethrow_exception(cause_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr cause_;
};

}  // namespace

void run_threads(int ranks, const std::function<void(Communicator& world)>& body) {
  constexpr int kExitRankLost = 71;
  const auto world = make_hub_world(ranks);
  FirstCause cause;
  std::vector<std::thread> threads;
  threads.reserve(world.size());
  const auto run = [&](Communicator& rank) {
    try {
      const core::OwnArena memory;
      body(rank);
    } catch (...) {
      cause.set(std::current_exception());
      rank.abort(kExitRankLost);
    }
  };
  try {
    for (const auto& mine : world) threads.emplace_back(run, std::ref(*mine));
  } catch (const std::system_error&) {  // no further thread: the ranks that run do not wait for it
    cause.set(std::current_exception());
    world.front()->abort(kExitRankLost);
  }
  for (auto& thread : threads) thread.join();
  cause.rethrow();
}

}  // namespace rw::comm
