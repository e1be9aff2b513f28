// Part of Ropewalk, MIT licence.
#include "comm/hub.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <exception>

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;

constexpr std::size_t kSmallBytes = 64 << 10;

Error hang_error(const HubOp& op, double seconds) {
  return {ErrorKind::kHang, fmt::format("{}: waited {} s for rank {}, which did not call", op.name,
                                        seconds, fmt::join(op.missing, ", rank "))};
}

}  // namespace

void HubOp::end() {
  in.clear();
  out.clear();
  parts.clear();
  status = Status::kDone;
}

HubGroup::HubGroup(std::vector<int> job_ranks)
    : ranks(std::move(job_ranks)), calls(ranks.size(), 0) {}

Hub::Hub(int ranks) {
  if (ranks > 1) worker_ = std::thread([this] { work(); });
}

Hub::~Hub() {
  {
    const auto held = lock();
    stop_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

void Hub::require_alive() const {
  if (failure_) throw Error(*failure_);
}

void Hub::fail(const std::string& message) {
  if (!failure_) failure_.emplace(ErrorKind::kRankLost, message);
  tell();
}

void Hub::start(std::unique_lock<std::mutex>& lock, const std::shared_ptr<HubOp>& op,
                std::vector<std::function<void()>> jobs, std::size_t bytes) {
  op->status = HubOp::Status::kRunning;
  op->jobs_left = static_cast<std::int64_t>(jobs.size());
  if (jobs.empty()) op->end();
  if (!worker_.joinable() || bytes <= kSmallBytes) {
    for (auto& job : jobs) run(lock, {op, std::move(job)});
  } else {
    for (auto& job : jobs) jobs_.push_back({op, std::move(job)});
  }
  tell();
}

void Hub::run(std::unique_lock<std::mutex>& lock, HubJob job) {
  lock.unlock();
  std::optional<Error> error;
  try {
    job.run();
  } catch (const Error& caught) {
    error = caught;
  } catch (const std::exception& caught) {
    error.emplace(ErrorKind::kComm, job.op->name + ": " + caught.what());
  }
  job.run = nullptr;  // and with it its tensors
  lock.lock();
  if (error && !job.op->error) job.op->error = error;
  if (--job.op->jobs_left == 0) {
    job.op->end();
    tell();
  }
}

bool Hub::run_one(std::unique_lock<std::mutex>& lock) {
  if (jobs_.empty()) return false;
  HubJob job = std::move(jobs_.front());
  jobs_.pop_front();
  run(lock, std::move(job));
  return true;
}

void Hub::work() {
  auto held = lock();
  while (!stop_) {
    if (!run_one(held)) changed_.wait(held);
  }
}

void Hub::tell() {
  ++events_;
  changed_.notify_all();
}

void Hub::wait_event(std::unique_lock<std::mutex>& lock, std::uint64_t seen, double seconds) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds > 0 ? seconds : 0);
  while (events_ == seen) {
    if (run_one(lock)) continue;
    if (seconds < 0) {
      changed_.wait(lock);
    } else if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
      return;
    }
  }
}

void Hub::wait(std::unique_lock<std::mutex>& lock, HubOp& op, double seconds) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds > 0 ? seconds : 0);
  while (op.status != HubOp::Status::kDone) {
    if (op.status == HubOp::Status::kGathering && failure_) throw Error(*failure_);
    if (run_one(lock)) continue;
    if (seconds <= 0 || op.status == HubOp::Status::kRunning) {
      changed_.wait(lock);
    } else if (std::chrono::steady_clock::now() >= deadline) {
      op.error = hang_error(op, seconds);  // also for those who come too late
      op.end();
      changed_.notify_all();
    } else {
      changed_.wait_until(lock, deadline);
    }
  }
  if (op.error) throw Error(*op.error);
}

}  // namespace rw::comm
