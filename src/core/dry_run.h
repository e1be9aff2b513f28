// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "core/placement.h"

namespace rw::core {

/// Says what the memory is for that this thread takes while it lives; the innermost one counts. Only
/// a DryRun asks. `what` must outlive it. Costs a few instructions.
class MemoryLabel {
 public:
  explicit MemoryLabel(const char* what);
  MemoryLabel(const MemoryLabel&) = delete;
  MemoryLabel& operator=(const MemoryLabel&) = delete;
  ~MemoryLabel();

 private:
  const char* outer_;
};

/// While it lives, the CPU of this thread only takes and releases memory, in a range of addresses that
/// no machine has: copies, fills and kernels do nothing, so nothing is ever read or written there. What
/// runs meanwhile needs the memory that it would really need, which is how `check` knows that
/// beforehand, on a machine of any size. Numbers are zeros, or what they were. One at a time per
/// thread; tensors made meanwhile go before it does.
class DryRun {
 public:
  DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;
  ~DryRun();
  /// This thread's; nullptr: all is real.
  static DryRun* current();

  /// The size of the arena so far: all blocks at their most, and what lies between them.
  std::size_t arena_bytes() const { return placement_.top(); }
  /// What was live when most was, by label; blocks without a label count as "activations".
  std::map<std::string, std::size_t> at_peak() const;

  /// For the arena (arena.cpp). Throws Error{kRecipe} beyond 2^61 bytes.
  void* take(std::size_t bytes, Placement::Fit fit);
  /// False: `address` was taken before this run.
  bool give(const void* address, std::size_t bytes);

 private:
  using Live = std::vector<std::pair<const char*, std::size_t>>;  // bytes by label

  Placement placement_;
  std::unordered_map<std::uintptr_t, std::size_t> labels_;  // of live blocks: index in live_
  Live live_, at_peak_;
  std::size_t most_ = 0;
};

/// The kernels of dry runs, by Op: the same tables as the CPU's, of functions that do nothing, or take
/// the memory that a kernel works in and give it back (kernels/register.h).
std::array<const void*, static_cast<std::size_t>(Op::kCount)>& dry_twins();

}  // namespace rw::core
