// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace rw::core {

/// What the operations of one kind took on one thread.
struct OpTime {
  std::int64_t calls = 0;
  std::int64_t ns = 0;
  /// Every tensor argument counted once: what a single pass over them moves at least.
  std::int64_t bytes = 0;
};

/// Where the time of one thread goes, by kind of operation. An operation that calls another counts
/// as one, the outer.
struct OpTimes {
  std::array<OpTime, static_cast<std::size_t>(Op::kCount)> of{};
  std::int64_t pending_bytes = 0;  // of the call that is being checked
  int depth = 0;                   // calls under way
};

/// From now on operations called from this thread (not from its OpenMP workers) are counted in
/// `times`, which outlives the counting; nullptr: no more. The one mechanism of timing kernels:
/// twins<T>() returns a TwinsCall, which takes the time from the look-up of the table to the end of
/// the call. Off, which it is unless somebody asks, it costs a look at a thread's variable. On a
/// device with a queue it measures the queueing alone.
void count_ops(OpTimes* times);

/// The pieces that TwinsCall and the fronts' checks are made of.
std::int64_t op_begin();  // ns; -1: nobody counts
void op_end(Op op, std::int64_t begin_ns);
void note_op_bytes(std::int64_t bytes);  // of an argument of the call that comes next

/// The table of functions of one operation for the length of one call:
/// twins<SwigluTwins>(device).forward(…).
template <class T>
class TwinsCall : public T {
 public:
  explicit TwinsCall(const T& table) : T(table), begin_ns_(op_begin()) {}
  TwinsCall(const TwinsCall&) = delete;
  TwinsCall& operator=(const TwinsCall&) = delete;
  ~TwinsCall() {
    if (begin_ns_ >= 0) op_end(T::kOp, begin_ns_);
  }

 private:
  std::int64_t begin_ns_;
};

/// Throws Error{kDevice} when the backend is not loaded or lacks this operation.
template <class T>
TwinsCall<T> twins(Device device) {
  return TwinsCall<T>(*static_cast<const T*>(find_twins(device, T::kOp)));
}

}  // namespace rw::core
