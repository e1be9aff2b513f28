// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>

#include "core/device.h"

namespace rw::core {

/// Sole owner of one block of device memory.
class Buffer {
 public:
  Buffer(std::size_t bytes, Device device)
      : address_(backend(device.kind).alloc(bytes, device.index)), bytes_(bytes), device_(device) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { backend_table(device_.kind).release(address_, bytes_, device_.index); }
  void* address() const { return address_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  void* address_;
  std::size_t bytes_;
  Device device_;
};

}  // namespace rw::core
