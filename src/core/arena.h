// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rw::core {

/// Host memory for tensors: blocks of equal rounded size are kept and handed out again, so that a
/// training step, which asks for the same sizes each time, allocates nothing after the first.
/// Blocks >= 2 MiB are 2 MiB-aligned and advised as huge pages; smaller ones are 64-byte aligned.
/// Thread-safe. Throws Error{kBug} when the system has no memory left.
void* host_alloc(std::size_t bytes);
void host_release(void* address, std::size_t bytes) noexcept;

/// Gives all kept blocks back to the system.
void host_trim() noexcept;

struct HostMemory {
  std::uint64_t live_bytes = 0;  // handed out now
  std::uint64_t kept_bytes = 0;  // free, kept for the next request
  std::uint64_t peak_bytes = 0;  // most ever handed out at once
  std::uint64_t system_allocations =
      0;  // times the system was asked; a steady training step adds none
};
HostMemory host_memory();

/// Single-threaded copies and fills of any size; addresses may be nullptr when bytes is 0.
void host_copy(void* to, const void* from, std::size_t bytes);
void host_fill(void* to, int byte, std::size_t bytes);

}  // namespace rw::core
