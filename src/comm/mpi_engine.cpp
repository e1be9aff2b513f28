// Part of Ropewalk, MIT licence.
#include "comm/mpi_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;
using Clock = std::chrono::steady_clock;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

std::string mpi_error_text(int code) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

void MpiIo::check(int code, const char* call, int peer) const {
  if (code == MPI_SUCCESS) return;
  throw Error(ErrorKind::kComm,
              fmt::format("{} rank {}: {}", call, ranks_[static_cast<std::size_t>(peer)],
                          mpi_error_text(code)));
}

void MpiIo::send(const void* from, std::size_t bytes, int to, int tag) {
  const auto* at = static_cast<const std::byte*>(from);
  do {
    const std::size_t n = std::min(bytes, chunk_bytes_);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(at, static_cast<int>(n), MPI_BYTE, to, tag, group_, &request), "send to", to);
    pending_.push_back({request, n, to, true});
    sent_->fetch_add(n, std::memory_order_relaxed);
    at += n;
    bytes -= n;
  } while (bytes > 0);
}

void MpiIo::receive(void* to, std::size_t bytes, int from, int tag) {
  auto* at = static_cast<std::byte*>(to);
  do {
    const std::size_t n = std::min(bytes, chunk_bytes_);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Irecv(at, static_cast<int>(n), MPI_BYTE, from, tag, group_, &request), "receive from",
          from);
    pending_.push_back({request, n, from, false});
    at += n;
    bytes -= n;
  } while (bytes > 0);
}

bool MpiIo::progress() {
  bool moved = false;
  for (std::size_t i = 0; i < pending_.size();) {
    auto& entry = pending_[i];
    int ended = 0;
    MPI_Status status{};
    const int code = MPI_Test(&entry.request, &ended, &status);
    if (code == MPI_SUCCESS && ended == 0) {
      ++i;
      continue;
    }
    const Pending last = entry;
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    moved = true;
    check(code, last.sends ? "send to" : "receive from", last.peer);
    int got = 0;
    if (!last.sends) MPI_Get_count(&status, MPI_BYTE, &got);
    if (!last.sends && static_cast<std::size_t>(got) != last.bytes) {
      throw Error(ErrorKind::kComm,
                  fmt::format("message from rank {}: got {} bytes, want {}",
                              ranks_[static_cast<std::size_t>(last.peer)], got, last.bytes));
    }
  }
  return moved;
}

bool MpiIo::sending() const {
  return std::any_of(pending_.begin(), pending_.end(), [](const Pending& p) { return p.sends; });
}

void MpiIo::cancel_receives() {
  for (auto& entry : pending_) {
    if (entry.sends) continue;
    MPI_Cancel(&entry.request);
    MPI_Request_free(&entry.request);
  }
  std::erase_if(pending_, [](const Pending& p) { return !p.sends; });
}

std::string MpiIo::absent() const {
  std::set<int> peers;
  for (const auto& entry : pending_) peers.insert(ranks_[static_cast<std::size_t>(entry.peer)]);
  std::string text;
  for (const int peer : peers) text += fmt::format("{}rank {}", text.empty() ? "" : ", ", peer);
  return text;
}

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
    while (io_.idle() && next_ < steps_.size()) {
      steps_[next_++](io_);
      io_.progress();
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

void MpiTask::check_deadline() {
  const std::int64_t deadline = deadline_ns_.load();
  if (deadline == 0 || now_ns() < deadline) return;
  finish(Error(ErrorKind::kHang,
               fmt::format("{}: waited {} s for {}", name_, waited_s_, io_.absent())));
}

bool MpiTask::finished() const { return over_ && io_.idle(); }
bool MpiTask::abandoned() const { return over_ && !io_.idle(); }

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

MpiEngine::MpiEngine(std::size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {
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
  bool moved = false;
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
  const auto sending = [this] {
    return std::any_of(active_.begin(), active_.end(),
                       [](const auto& task) { return task->io().sending(); });
  };
  while (sending() && Clock::now() < end) {
    if (!move_all()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  const bool clean = !sending();
  for (auto& task : active_) {
    if (clean) task->io().cancel_receives();
    task->fail(Error(ErrorKind::kComm, "the MPI session ended before this call was done"));
  }
  ended_.add();
  return clean;
}

void MpiEngine::work() {
  using std::chrono::microseconds;
  constexpr microseconds kShortest{5};
  constexpr microseconds kLong{200};  // while something moved within the last second
  constexpr microseconds kLongest{1000};
  microseconds nap = kShortest;
  auto last_move = Clock::now();
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
    lock.lock();
    if (moved || fresh) {
      nap = kShortest;
      last_move = Clock::now();
      continue;
    }
    if (!queue_.empty() || active_.empty()) continue;
    changed_.wait_for(lock, nap);
    const bool quiet = Clock::now() - last_move > std::chrono::seconds(1);
    nap = std::min(nap * 2, quiet ? kLongest : kLong);
  }
  lock.unlock();
  clean_ = drain();
}

}  // namespace rw::comm
