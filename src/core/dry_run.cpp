// Part of Ropewalk, MIT licence.
#include "core/dry_run.h"

#include <algorithm>

#include "core/error.h"

namespace rw::core {
namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): the dry run that this thread is
// in, and the label that counts; both belong to objects on the thread's stack.
thread_local DryRun* running = nullptr;
thread_local const char* label = "activations";
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

/// Where the blocks of dry runs lie: between the addresses of processes and those of the system, where
/// no machine has memory, so that whoever touches one is found out.
constexpr std::uintptr_t kBase = std::uintptr_t{1} << 62;
constexpr std::size_t kMostBytes = std::size_t{1} << 61;

}  // namespace

MemoryLabel::MemoryLabel(const char* what) : outer_(label) { label = what; }
MemoryLabel::~MemoryLabel() { label = outer_; }

DryRun::DryRun() {
  if (running != nullptr) throw Error(ErrorKind::kBug, "DryRun: got two on one thread, want one");
  running = this;
}

DryRun::~DryRun() { running = nullptr; }

DryRun* DryRun::current() { return running; }

std::map<std::string, std::size_t> DryRun::at_peak() const {
  std::map<std::string, std::size_t> out;
  for (const auto& [what, bytes] : at_peak_) out[what] += bytes;
  return out;
}

void* DryRun::take(std::size_t bytes, Placement::Fit fit) {
  if (bytes > kMostBytes - std::min(kMostBytes, placement_.top())) {
    throw Error(ErrorKind::kRecipe,
                "memory: got a job in which one rank needs " + std::to_string(bytes) +
                    " bytes beside " + std::to_string(placement_.live_bytes()) + ", want at most " +
                    std::to_string(kMostBytes) +
                    "; try a smaller model, shorter sequences or smaller micro-batches");
  }
  const std::uintptr_t address = kBase + placement_.take(bytes, fit);
  const auto found =
      std::find_if(live_.begin(), live_.end(), [](const auto& one) { return one.first == label; });
  labels_[address] = static_cast<std::size_t>(found - live_.begin());
  if (found == live_.end()) {
    live_.emplace_back(label, Placement::rounded(bytes));
  } else {
    found->second += Placement::rounded(bytes);
  }
  if (placement_.live_bytes() > most_) {
    most_ = placement_.live_bytes();
    at_peak_ = live_;
  }
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): never looked at
}

bool DryRun::give(const void* address, std::size_t bytes) {
  const auto found = labels_.find(reinterpret_cast<std::uintptr_t>(address));
  if (found == labels_.end()) return false;
  live_[found->second].second -= Placement::rounded(bytes);
  placement_.give(found->first - kBase, bytes);
  labels_.erase(found);
  return true;
}

std::array<const void*, static_cast<std::size_t>(Op::kCount)>& dry_twins() {
  static std::array<const void*, static_cast<std::size_t>(Op::kCount)> twins{};
  return twins;
}

}  // namespace rw::core
