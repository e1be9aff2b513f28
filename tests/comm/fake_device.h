// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <cstring>

#include "core/device.h"
#include "core/tensor.h"

namespace rw::test {

/// Stands in for a device: its memory has addresses that the host cannot touch, so that only the
/// copy functions reach it.
class FakeDevice {
 public:
  FakeDevice() : old_(core::backend_table(core::DeviceKind::kCuda)) {
    auto& table = core::backend_table(core::DeviceKind::kCuda);
    table = core::backend_table(core::DeviceKind::kCpu);
    table.name = "fake";
    table.alloc = [](std::size_t bytes, int index) {
      return flip(core::backend(core::DeviceKind::kCpu).alloc(bytes, index));
    };
    table.release = [](void* address, std::size_t bytes, int index) {
      core::backend(core::DeviceKind::kCpu).release(flip(address), bytes, index);
    };
    table.copy = [](void* to, const void* from, std::size_t bytes, void*) {
      std::memcpy(host(to), host(const_cast<void*>(from)), bytes);
    };
    table.fill = [](void* to, int byte, std::size_t bytes, void*) {
      std::memset(host(to), byte, bytes);
    };
  }
  FakeDevice(const FakeDevice&) = delete;
  FakeDevice& operator=(const FakeDevice&) = delete;
  ~FakeDevice() { core::backend_table(core::DeviceKind::kCuda) = old_; }
  static core::Device device() { return {core::DeviceKind::kCuda, 0}; }

 private:
  static constexpr std::uintptr_t kMark = std::uintptr_t{1} << 61;
  static void* flip(void* address) {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(address) ^ kMark);
  }
  static void* host(void* address) {
    return (reinterpret_cast<std::uintptr_t>(address) & kMark) != 0 ? flip(address) : address;
  }
  core::Backend old_;
};

}  // namespace rw::test
