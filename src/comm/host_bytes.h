// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <vector>

#include "core/tensor.h"

namespace rw::comm {

/// The bytes of a tensor on the host: its own memory, or a copy of what is on a device. Keeps the
/// tensor's memory alive.
class HostBytes {
 public:
  HostBytes() = default;
  /// read: fetches what is on the device now (waits for it).
  HostBytes(core::Tensor tensor, bool read) : tensor_(std::move(tensor)) {
    if (tensor_.device().kind == core::DeviceKind::kCpu) return;
    staged_.resize(tensor_.bytes());
    if (read && !staged_.empty()) core::copy_to_host(tensor_, staged_.data(), staged_.size());
  }
  std::byte* address() {
    return staged_.empty() ? static_cast<std::byte*>(tensor_.address()) : staged_.data();
  }
  std::size_t bytes() const { return tensor_.bytes(); }
  /// Brings what was written at address() to the device (waits); nothing to do on the host.
  void write_back() {
    if (!staged_.empty()) core::copy_from_host(staged_.data(), staged_.size(), tensor_);
  }

 private:
  core::Tensor tensor_;
  std::vector<std::byte> staged_;
};

}  // namespace rw::comm
