// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>

namespace rw::kernels::cuda {

/// Device memory for tensors. Blocks of equal rounded size are kept and handed out again, so that a
/// steady training step asks the driver for nothing. A block goes back at once, while work on it may
/// still be queued: the next owner must use it on the same stream, or wait. Thread-safe. Throws
/// Error{kDevice} naming size and free memory when the card is full.
void* device_alloc(std::size_t bytes, int index);
void device_release(void* address, std::size_t bytes, int index) noexcept;

}  // namespace rw::kernels::cuda
