// Part of Ropewalk, MIT licence.
#include "core/dry_run.h"

#include <algorithm>

#include "core/error.h"
#include "core/placement.h"

namespace rw::core {
namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): the dry run that this thread is
// in, and the label that counts; both belong to objects on the thread's stack.
thread_local DryRun* running = nullptr;
thread_local const char* label = "activations";
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

}  // namespace

MemoryLabel::MemoryLabel(const char* what) : outer_(label) { label = what; }
MemoryLabel::~MemoryLabel() { label = outer_; }

DryRun::DryRun() {
  if (running != nullptr) throw Error(ErrorKind::kBug, "DryRun: got two on one thread, want one");
  running = this;
}

DryRun::~DryRun() { running = nullptr; }

DryRun* DryRun::current() { return running; }

void DryRun::took(const void* address, std::size_t bytes) {
  labels_[address] = label;
  live_[label] += Placement::rounded(bytes);
  now_ += Placement::rounded(bytes);
  if (now_ <= most_) return;
  most_ = now_;
  at_peak_ = live_;
}

void DryRun::gave(const void* address, std::size_t bytes) {
  const auto found = labels_.find(address);
  if (found == labels_.end()) return;  // taken before this run
  live_[found->second] -= Placement::rounded(bytes);
  now_ -= Placement::rounded(bytes);
  labels_.erase(found);
}

std::array<const void*, static_cast<std::size_t>(Op::kCount)>& dry_twins() {
  static std::array<const void*, static_cast<std::size_t>(Op::kCount)> twins{};
  return twins;
}

}  // namespace rw::core
