// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>

#include "core/device.h"

namespace rw::core {

/// Sole owner of one block of device memory, which it may give back and take anew.
class Buffer {
 public:
  Buffer(std::size_t bytes, Device device) : bytes_(bytes), device_(device) { take(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { give_back(); }
  /// nullptr between give_back() and take().
  void* address() const { return address_; }
  void give_back() {
    if (address_ != nullptr) backend_table(device_.kind).release(address_, bytes_, device_.index);
    address_ = nullptr;
  }
  /// Contents are undefined. Does nothing when there is memory.
  void take() {
    if (address_ == nullptr) address_ = backend(device_.kind).alloc(bytes_, device_.index);
  }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  void* address_ = nullptr;
  std::size_t bytes_;
  Device device_;
};

}  // namespace rw::core
