// Part of Ropewalk, MIT licence.
#include "core/arena.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#include "core/dry_run.h"
#include "core/error.h"
#include "core/placement.h"

namespace rw::core {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

std::size_t up_to_huge(std::size_t bytes) { return (bytes + kHuge - 1) / kHuge * kHuge; }

/// Addresses to reserve: more than the machine has memory, for they cost nothing, but no more than
/// half of what a limit on addresses leaves to everything else.
std::size_t reserve_bytes() {
  const auto pages = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES));
  std::size_t out = 2 * pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    out = std::min<std::size_t>(out, limit.rlim_cur / 2);
  }
  return up_to_huge(out);
}

/// A range of addresses without memory; nullptr when there is none of that size.
void* address_range(std::size_t bytes) {
  void* out = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return out == MAP_FAILED ? nullptr : out;
}

}  // namespace

class Arena {
 public:
  void* take(std::size_t bytes, Placement::Fit fit) {
    const std::lock_guard lock(mutex_);
    const std::size_t offset = placement_.take(bytes, fit);
    if (placement_.top() > usable_ && !grow(placement_.top())) {
      placement_.give(offset, bytes);
      placement_.cut();
      throw Error(ErrorKind::kDevice,
                  "out of memory: got no " + std::to_string(bytes) + " bytes beside " +
                      std::to_string(placement_.live_bytes()) +
                      "; want a machine with more, a higher limit (ulimit -v), or a smaller job");
    }
    return base_ + offset;
  }
  void give(void* address, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    placement_.give(static_cast<std::size_t>(static_cast<char*>(address) - base_), bytes);
  }
  bool holds(const void* address) const {
    const char* const base = base_.load();
    return base != nullptr && address >= base && address < base + reserved_;
  }
  /// False when something is left in it.
  bool start_anew() {
    const std::lock_guard lock(mutex_);
    if (placement_.live_bytes() != 0) return false;
    placement_.cut();
    return true;
  }
  void count(HostMemory& sum) {
    const std::lock_guard lock(mutex_);
    sum.live_bytes += placement_.live_bytes();
    sum.peak_bytes += placement_.peak_bytes();
    sum.arena_bytes += placement_.top();
    sum.system_allocations += growths_;
  }

 private:
  bool reserve() {
    reserved_ = reserve_bytes();
    void* range = address_range(reserved_ + kHuge);
    while (range == nullptr && reserved_ > kHuge) {
      reserved_ = up_to_huge(reserved_ / 2);
      range = address_range(reserved_ + kHuge);
    }
    if (range == nullptr) return false;
    const auto at = reinterpret_cast<std::size_t>(range);
    char* const base = static_cast<char*>(range) + (up_to_huge(at) - at);
    ::madvise(base, reserved_, MADV_HUGEPAGE);
    base_ = base;
    return true;
  }
  bool grow(std::size_t bytes) {
    if (base_ == nullptr && !reserve()) return false;
    const std::size_t wanted = up_to_huge(bytes);
    if (wanted > reserved_ ||
        ::mprotect(base_ + usable_, wanted - usable_, PROT_READ | PROT_WRITE) != 0) {
      return false;
    }
    usable_ = wanted;
    ++growths_;
    return true;
  }

  std::mutex mutex_;
  Placement placement_;
  std::atomic<char*> base_ = nullptr;  // set once, after reserved_
  std::size_t reserved_ = 0, usable_ = 0;
  std::uint64_t growths_ = 0;
};

namespace {

/// All arenas. They live as long as the process: tensors may outlive every other object.
struct Arenas {
  std::mutex mutex;
  std::deque<Arena> all{1};  // the first is of the threads that have none of their own
  std::vector<Arena*> idle;

  Arena& holder(const void* address) {
    const std::lock_guard lock(mutex);
    return *std::find_if(all.begin(), all.end(),
                         [=](const Arena& arena) { return arena.holds(address); });
  }
};

Arenas& arenas() {
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory,cppcoreguidelines-avoid-non-const-global-variables)
  static Arenas* const kArenas = new Arenas;
  return *kArenas;
}

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): this thread's OwnArena, TakeHigh
thread_local Arena* own = nullptr;
thread_local auto fit = Placement::Fit::kBest;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

Arena& arena_of_this_thread() { return own != nullptr ? *own : arenas().all.front(); }

}  // namespace

OwnArena::OwnArena() : before_(own) {
  Arenas& from = arenas();
  const std::lock_guard lock(from.mutex);
  const auto empty = std::find_if(from.idle.rbegin(), from.idle.rend(),
                                  [](Arena* arena) { return arena->start_anew(); });
  if (empty == from.idle.rend()) {
    own = &from.all.emplace_back();
  } else {
    own = *empty;
    from.idle.erase(std::next(empty).base());
  }
  arena_ = own;
}

OwnArena::~OwnArena() {
  Arenas& from = arenas();
  const std::lock_guard lock(from.mutex);
  from.idle.push_back(arena_);
  own = before_;
}

HostMemory OwnArena::memory() const {
  HostMemory out;
  arena_->count(out);
  return out;
}

TakeHigh::TakeHigh() { fit = Placement::Fit::kHigh; }
TakeHigh::~TakeHigh() { fit = Placement::Fit::kBest; }

void* host_alloc(std::size_t bytes) {
  if (DryRun* dry = DryRun::current(); dry != nullptr) return dry->take(bytes, fit);
  return arena_of_this_thread().take(bytes, fit);
}

void host_release(void* address, std::size_t bytes) noexcept {
  if (address == nullptr) return;
  if (DryRun* dry = DryRun::current(); dry != nullptr && dry->give(address, bytes)) return;
  Arena& mine = arena_of_this_thread();
  (mine.holds(address) ? mine : arenas().holder(address)).give(address, bytes);
}

HostMemory host_memory() {
  Arenas& from = arenas();
  const std::lock_guard lock(from.mutex);
  HostMemory sum;
  for (Arena& arena : from.all) arena.count(sum);
  return sum;
}

void host_copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0 && DryRun::current() == nullptr) std::memmove(to, from, bytes);
}

void host_fill(void* to, int byte, std::size_t bytes) {
  if (bytes != 0 && DryRun::current() == nullptr) std::memset(to, byte, bytes);
}

}  // namespace rw::core
