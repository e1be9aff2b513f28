// Part of Ropewalk, MIT licence.
#include "comm/mpi_engine.h"

#include <fmt/format.h>

#include <algorithm>

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;
using Clock = std::chrono::steady_clock;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

}  // namespace

bool MpiTask::done() {
  std::unique_lock lock(mutex_);
  if (!done_) return false;
  take_result(lock);
  return true;
}

void MpiTask::wait() {
  std::unique_lock lock(mutex_);
  const double seconds = timeout_->load();
  if (!done_ && seconds > 0) {
    waited_s_ = seconds;
    deadline_ns_.store(now_ns() + static_cast<std::int64_t>(seconds * 1e9));
  }
  changed_.wait(lock, [this] { return done_; });
  take_result(lock);
}

void MpiTask::take_result(std::unique_lock<std::mutex>&) {
  if (error_) throw Error(*error_);
  if (take_) take_();
  take_ = nullptr;
}

bool MpiTask::advance() {
  try {
    bool moved = io_.progress();
    if (over_) return moved;
    if (must_wait()) {
      check_deadline();
      return over_;
    }
    while (io_.idle() && next_ < steps_.size()) {
      steps_[next_++](io_);
      moved = true;
    }
    if (io_.idle()) {
      finish(std::nullopt);
    } else if (!moved) {
      check_deadline();
    }
    return moved || over_;
  } catch (const Error& error) {
    finish(Error(error.kind(), name_ + ": " + error.what()));
  } catch (const std::exception& error) {
    finish(Error(ErrorKind::kComm, name_ + ": " + error.what()));
  }
  return true;
}

bool MpiTask::must_wait() {
  if (after_ != nullptr && after_->over()) after_ = nullptr;
  return after_ != nullptr;
}

void MpiTask::check_deadline() {
  const std::int64_t deadline = deadline_ns_.load();
  if (deadline == 0 || now_ns() < deadline) return;
  const MpiTask* front = this;
  while (front->after_ != nullptr) front = front->after_.get();
  finish(Error(ErrorKind::kHang,
               fmt::format("{}: waited {} s for {}", name_, waited_s_, front->io_.absent())));
}

bool MpiTask::finished() const { return over_ && io_.idle(); }

void MpiTask::fail(const Error& error) {
  if (!over_) finish(error);
}

void MpiTask::finish(std::optional<Error> error) {
  over_ = true;
  if (io_.idle()) steps_.clear();  // and with them the buffers
  const std::lock_guard lock(mutex_);
  if (done_) return;
  done_ = true;
  error_ = std::move(error);
  changed_.notify_all();
}

void EventCount::add() {
  const std::lock_guard lock(mutex_);
  ++count_;
  changed_.notify_all();
}

std::uint64_t EventCount::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

void EventCount::wait(std::uint64_t seen, double seconds) {
  std::unique_lock lock(mutex_);
  const auto past = [&] { return count_ != seen; };
  if (seconds < 0) {
    changed_.wait(lock, past);
  } else {
    changed_.wait_for(lock, std::chrono::duration<double>(seconds), past);
  }
}

std::chrono::microseconds MpiPatience::nap(Clock::time_point now) const {
  using std::chrono::microseconds;
  constexpr microseconds kAwake{20};     // what a nap costs: looking as long costs no more
  constexpr microseconds kShortest{50};  // the kernel adds as much to any nap
  constexpr int kShare = 32;             // of the wait so far: a message is late by half of it
  constexpr microseconds kLong{1000};    // from 32 ms on: 1000 naps/s, 2 to 3 % of a core
  constexpr int kLongShare = 1000;       // from 1 s on
  constexpr microseconds kLongest{4000};
  const auto quiet = std::chrono::duration_cast<microseconds>(now - last_move_);
  if (quiet < kAwake) return microseconds{0};
  const auto most = std::max(kLong, std::min(quiet / kLongShare, kLongest));
  return std::clamp(quiet / kShare, kShortest, most);
}

MpiEngine::MpiEngine(std::size_t chunk_bytes) : requests_(chunk_bytes) {
  thread_ = std::thread([this] { work(); });
}

MpiEngine::~MpiEngine() { stop(0); }

void MpiEngine::submit(std::shared_ptr<MpiTask> task) {
  const std::lock_guard lock(mutex_);
  if (stop_seconds_.load() >= 0) {
    throw Error(ErrorKind::kComm, "the MPI session has ended; no call may follow");
  }
  queue_.push_back(std::move(task));
  changed_.notify_one();
}

bool MpiEngine::stop(double seconds) {
  {
    const std::lock_guard lock(mutex_);
    stop_seconds_.store(seconds);
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  return clean_;
}

bool MpiEngine::move_all() {
  bool moved = requests_.look();
  for (auto& task : active_) {
    const bool was_over = task->over();
    moved = task->advance() || moved;
    if (!was_over && task->over()) ended_.add();
  }
  std::erase_if(active_, [](const auto& task) { return task->finished(); });
  return moved;
}

bool MpiEngine::drain() {
  move_all();  // what was handed over last
  const auto end = Clock::now() + std::chrono::duration<double>(stop_seconds_.load());
  while (requests_.sending() && Clock::now() < end) {
    if (!move_all()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  const bool clean = !requests_.sending();
  if (clean) requests_.cancel_receives();
  for (auto& task : active_) {
    task->fail(Error(ErrorKind::kComm, "the MPI session ended before this call was done"));
  }
  ended_.add();
  return clean;
}

void MpiEngine::work() {
  MpiPatience patience;
  std::unique_lock lock(mutex_);
  while (true) {
    const bool fresh = !queue_.empty();
    while (!queue_.empty()) {
      active_.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (stop_seconds_.load() >= 0) break;
    if (active_.empty()) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    const bool moved = move_all();
    const auto now = Clock::now();
    if (moved || fresh) patience.moved(now);
    const auto nap = patience.nap(now);
    if (nap.count() == 0) std::this_thread::yield();
    lock.lock();
    if (nap.count() == 0 || !queue_.empty() || active_.empty()) continue;
    changed_.wait_for(lock, nap);
  }
  lock.unlock();
  clean_ = drain();
}

}  // namespace rw::comm
