// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "kernels/multiversion.h"

namespace rw::kernels {

/// Where the threads of one parallel region meet dozens of times within a millisecond: they wait by
/// looking, whatever OpenMP's waiting policy is, and give their core away only after a while.
class Meeting {
 public:
  /// Returns when all `size` threads have called it; what they wrote before is then seen by all.
  void wait(int size) {
    const unsigned turn = turn_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return;
    }
    for (int looks = 0; turn_.load(std::memory_order_acquire) == turn; ++looks) {
      if (looks < kLooks) {
        cpu_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  static constexpr int kLooks = 2000;  // some tens of microseconds
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> turn_{0};
};

/// One thread's place in the region.
struct Member {
  int rank = 0;
  int size = 1;
  Meeting* meeting = nullptr;

  void meet() const { meeting->wait(size); }
  /// Where the part of a thread of [0, count) begins: parts are a multiple of `grain` long but for the
  /// last.
  static std::int64_t begin_of(int rank, int size, std::int64_t count, std::int64_t grain) {
    return std::min(count, (count + grain - 1) / grain * rank / size * grain);
  }
  std::int64_t begin(std::int64_t count, std::int64_t grain) const {
    return begin_of(rank, size, count, grain);
  }
  /// Calls body(begin, end) with this thread's part of [0, count).
  template <class Body>
  void part(std::int64_t count, std::int64_t grain, const Body& body) const {
    const std::int64_t first = begin(count, grain);
    const std::int64_t end = begin_of(rank + 1, size, count, grain);
    if (first < end) body(first, end);
  }
};

}  // namespace rw::kernels
