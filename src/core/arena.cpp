// Part of Ropewalk, MIT licence.
#include "core/arena.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace rw::core {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

std::size_t rounded(std::size_t bytes) {
  const std::size_t unit = bytes >= kHuge ? kHuge : 64;
  return (bytes + unit - 1) / unit * unit;
}

struct Pool {
  std::mutex mutex;
  std::map<std::size_t, std::vector<void*>> free_blocks;
  HostMemory counts;
};

// Lives as long as the process: tensors may outlive every other object.
Pool& pool() {
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory,cppcoreguidelines-avoid-non-const-global-variables)
  static Pool* const kPool = new Pool;
  return *kPool;
}

}  // namespace

void* host_alloc(std::size_t bytes) {
  const std::size_t size = rounded(bytes == 0 ? 1 : bytes);
  Pool& p = pool();
  {
    const std::lock_guard lock(p.mutex);
    p.counts.live_bytes += size;
    if (p.counts.live_bytes > p.counts.peak_bytes) p.counts.peak_bytes = p.counts.live_bytes;
    auto& blocks = p.free_blocks[size];
    if (!blocks.empty()) {
      void* out = blocks.back();
      blocks.pop_back();
      p.counts.kept_bytes -= size;
      return out;
    }
    ++p.counts.system_allocations;
  }
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory)
  void* out = std::aligned_alloc(size >= kHuge ? kHuge : 64, size);
  if (out == nullptr)
    throw Error(ErrorKind::kBug, "out of memory: got no " + std::to_string(size) + " bytes");
  if (size >= kHuge) ::madvise(out, size, MADV_HUGEPAGE);
  return out;
}

void host_release(void* address, std::size_t bytes) noexcept {
  if (address == nullptr) return;
  const std::size_t size = rounded(bytes == 0 ? 1 : bytes);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.counts.live_bytes -= size;
  p.counts.kept_bytes += size;
  p.free_blocks[size].push_back(address);
}

void host_trim() noexcept {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  for (auto& [size, blocks] : p.free_blocks) {
    for (void* block : blocks)
      std::free(block);  // NOLINT(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory)
    p.counts.kept_bytes -= size * blocks.size();
    blocks.clear();
  }
}

HostMemory host_memory() {
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  return p.counts;
}

void host_copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memmove(to, from, bytes);
}

void host_fill(void* to, int byte, std::size_t bytes) {
  if (bytes != 0) std::memset(to, byte, bytes);
}

}  // namespace rw::core
