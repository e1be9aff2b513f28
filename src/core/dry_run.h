// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <string>

#include "core/arena.h"
#include "core/device.h"

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

/// While it lives, the CPU of this thread only takes and releases memory, in an arena of its own:
/// copies, fills and kernels do nothing, so no page of it is ever touched. What runs meanwhile needs
/// the memory that it would really need, which is how `check` knows that beforehand. Numbers are
/// zeros, or what they were. One at a time per thread; tensors made meanwhile go before it does.
class DryRun {
 public:
  DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;
  ~DryRun();
  /// This thread's; nullptr: all is real.
  static DryRun* current();

  HostMemory memory() const { return arena_.memory(); }
  /// What was live when most was, by label; blocks without a label count as "activations".
  const std::map<std::string, std::size_t>& at_peak() const { return at_peak_; }

  /// The arena's notes on every block (arena.cpp).
  void took(const void* address, std::size_t bytes);
  void gave(const void* address, std::size_t bytes);

 private:
  OwnArena arena_;
  std::map<const void*, std::string> labels_;  // of live blocks
  std::map<std::string, std::size_t> live_, at_peak_;
  std::size_t now_ = 0, most_ = 0;
};

/// The kernels of dry runs, by Op: the same tables as the CPU's, of functions that do nothing, or take
/// the memory that a kernel works in and give it back (kernels/register.h).
std::array<const void*, static_cast<std::size_t>(Op::kCount)>& dry_twins();

}  // namespace rw::core
