// Part of Ropewalk, MIT licence.
#include "data/loader.h"

#include <algorithm>

#include "core/dry_run.h"
#include "metrics/timer.h"

namespace rw::data {

Loader::Loader(std::shared_ptr<const Corpora> corpora, std::shared_ptr<const Order> order,
               LoaderOptions options)
    : corpora_(std::move(corpora)),
      order_(std::move(order)),
      options_(std::move(options)),
      slots_(static_cast<std::size_t>(std::max<std::int64_t>(1, options_.prefetch_steps)) + 1) {
  const core::MemoryLabel label("loader");
  for (auto& one : slots_) {
    for (std::size_t i = 0; i < options_.micro_batches.size(); ++i) {
      one.data.push_back(make_micro_batch(options_.micro_batch_size, options_.seq_len));
    }
  }
  if (core::DryRun::current() != nullptr) return;  // what is read would have no place
  try {
    for (std::int64_t i = 0; i < std::max<std::int64_t>(1, options_.threads); ++i) {
      threads_.emplace_back([this] { work(); });
    }
  } catch (...) {  // no further thread
    stop();
    throw;
  }
}

Loader::~Loader() { stop(); }

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

const std::vector<MicroBatchData>& Loader::wait(std::int64_t step) {
  if (threads_.empty()) return slot(step).data;
  const std::int64_t begin = metrics::now_ns();
  std::unique_lock lock(mutex_);
  if (next_ == 0 || step != in_use_ + 1) restart(lock, step);
  in_use_ = step;
  changed_.notify_all();
  Slot& here = slot(step);
  changed_.wait(lock, [&] { return here.step == step; });
  last_wait_ms_ = static_cast<double>(metrics::now_ns() - begin) / 1e6;
  if (here.error) std::rethrow_exception(here.error);
  return here.data;
}

void Loader::restart(std::unique_lock<std::mutex>& lock, std::int64_t step) {
  next_ = 0;  // nobody begins another one
  changed_.wait(lock, [&] { return filling_ == 0; });
  for (auto& one : slots_) one.step = 0;
  next_ = step;
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] {
      const auto ahead = static_cast<std::int64_t>(slots_.size());
      return stop_ || (next_ > 0 && next_ < in_use_ + ahead);
    });
    if (stop_) return;
    const std::int64_t step = next_++;
    Slot& here = slot(step);
    here.step = 0;
    ++filling_;
    lock.unlock();
    fill(step, here);
    lock.lock();
    --filling_;
    here.step = step;
    changed_.notify_all();
  }
}

void Loader::fill(std::int64_t step, Slot& into) const {
  into.error = nullptr;
  try {
    const std::int64_t rows = options_.micro_batch_size;
    for (std::size_t i = 0; i < options_.micro_batches.size(); ++i) {
      const std::int64_t first = options_.micro_batches[i] * rows;
      for (std::int64_t row = 0; row < rows; ++row) {
        const RowSample what = order_->at(step, first + row);
        fill_row(*corpora_, what.source, what.sample, row, into.data[i]);
      }
    }
  } catch (...) {  // for the thread that waits
    into.error = std::current_exception();
  }
}

}  // namespace rw::data
