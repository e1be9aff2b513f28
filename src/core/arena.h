// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rw::core {

/// Host memory for tensors: an arena, a range of addresses that is reserved once, grows at its end
/// and is never given back. Blocks are placed by best fit and reused by lifetime (placement.h), so
/// that a training step, which asks for the same sizes each time, asks the system for nothing after
/// the second. 64-byte aligned, advised as huge pages. Thread-safe; any thread may release. Throws
/// Error{kBug} when the system has no memory left.
void* host_alloc(std::size_t bytes);
void host_release(void* address, std::size_t bytes) noexcept;

/// While it lives, this thread takes from the high end of the arena (Placement::Fit::kHigh).
class TakeHigh {
 public:
  TakeHigh();
  TakeHigh(const TakeHigh&) = delete;
  TakeHigh& operator=(const TakeHigh&) = delete;
  ~TakeHigh();
};

struct HostMemory {
  std::uint64_t live_bytes = 0;   // handed out now
  std::uint64_t peak_bytes = 0;   // most ever handed out at once by each
  std::uint64_t arena_bytes = 0;  // sizes so far: peak_bytes and what lies between blocks
  std::uint64_t system_allocations =
      0;  // times the system was asked for more; a steady training step adds none
};
/// Of all arenas together.
HostMemory host_memory();

class Arena;

/// While it lives, this thread takes from an arena of its own: ranks that are threads of one process
/// then need what they would need as processes, whatever their timing. What is taken may live longer;
/// the arena itself is kept, for the next one who asks once nothing is left in it.
class OwnArena {
 public:
  OwnArena();
  OwnArena(const OwnArena&) = delete;
  OwnArena& operator=(const OwnArena&) = delete;
  ~OwnArena();
  HostMemory memory() const;

 private:
  Arena* arena_;
  Arena* before_;
};

/// Single-threaded copies and fills of any size; addresses may be nullptr when bytes is 0.
void host_copy(void* to, const void* from, std::size_t bytes);
void host_fill(void* to, int byte, std::size_t bytes);

}  // namespace rw::core
