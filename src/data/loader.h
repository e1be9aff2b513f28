// Part of Ropewalk, MIT licence.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/corpus.h"
#include "data/order.h"

namespace rw::data {

struct LoaderOptions {
  std::int64_t micro_batch_size = 1;
  std::int64_t seq_len = 0;
  std::vector<std::int64_t> micro_batches;  // of the global batch, those this rank needs
  std::int64_t threads = 2;
  std::int64_t prefetch_steps = 4;
};

/// Reads the micro-batches of coming steps on threads of its own. Micro-batch m of a step holds rows
/// [m·B, (m + 1)·B) of it. What comes out depends on (corpora, order, step) alone, never on timing.
/// In a dry run (core/dry_run.h) it only has the memory of its micro-batches, and reads nothing.
class Loader {
 public:
  Loader(std::shared_ptr<const Corpora> corpora, std::shared_ptr<const Order> order,
         LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The step's micro-batches; entry i is options.micro_batches[i]. Valid until the next wait().
  /// Steps may jump (resume): reading ahead starts again there. Throws what reading threw.
  const std::vector<MicroBatchData>& wait(std::int64_t step);
  /// How long the last wait() waited.
  double last_wait_ms() const { return last_wait_ms_; }

 private:
  void stop();
  struct Slot {
    std::int64_t step = 0;  // whose data is here; 0: none
    std::vector<MicroBatchData> data;
    std::exception_ptr error;
  };
  Slot& slot(std::int64_t step) { return slots_[static_cast<std::size_t>(step) % slots_.size()]; }
  void work();
  void fill(std::int64_t step, Slot& into) const;
  void restart(std::unique_lock<std::mutex>& lock, std::int64_t step);

  std::shared_ptr<const Corpora> corpora_;  // shared with the launcher and the validation
  std::shared_ptr<const Order> order_;
  LoaderOptions options_;
  double last_wait_ms_ = 0;
  std::mutex mutex_;  // all below
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::int64_t in_use_ = 0;  // the step that the caller reads; 0: none yet
  std::int64_t next_ = 0;    // the next step to fill; 0: nothing was asked for yet
  int filling_ = 0;          // threads at work
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace rw::data
