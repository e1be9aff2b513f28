// Part of Ropewalk, MIT licence.
#include "core/op_times.h"

#include <chrono>

namespace rw::core {
namespace {

struct Slot {
  OpTimes* times = nullptr;  // nullptr: nobody counts
};

OpTimes*& times_of_this_thread() {
  thread_local Slot slot;
  return slot.times;
}

std::int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace

void count_ops(OpTimes* times) { times_of_this_thread() = times; }

std::int64_t op_begin() {
  OpTimes* const times = times_of_this_thread();
  if (times == nullptr) return -1;
  ++times->depth;
  return now_ns();
}

void op_end(Op op, std::int64_t begin_ns) {
  OpTimes* const times = times_of_this_thread();
  if (times == nullptr || --times->depth > 0) return;
  OpTime& one = times->of[static_cast<std::size_t>(op)];
  ++one.calls;
  one.ns += now_ns() - begin_ns;
  one.bytes += times->pending_bytes;
  times->pending_bytes = 0;
}

void note_op_bytes(std::int64_t bytes) {
  OpTimes* const times = times_of_this_thread();
  if (times != nullptr && times->depth == 0) times->pending_bytes += bytes;
}

}  // namespace rw::core
