// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace rw::core {

enum class DeviceKind : std::uint8_t { kCpu, kCuda };
inline constexpr std::size_t kDeviceKinds = 2;

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
  std::string text() const;  // "cpu", "cuda:0"
};

/// Every operation that has one implementation (twin) per device; kernels/<op>/twins.h gives the
/// table of functions.
enum class Op : std::uint8_t {
  kMatmul,
  kAttention,
  kRmsNorm,
  kRope,
  kSwiglu,
  kEmbedding,
  kCrossEntropy,
  kAdamw,
  kElementwise,
  kReduce,
  kNarrowMatmul,
  kDecode,
  kCount
};

/// What one kind of device provides: memory, streams, events and kernels. The CPU's is built in;
/// the CUDA backend is a shared object that fills its table when it is loaded (load_backend). All
/// functions may throw Error{kDevice}.
struct Backend {
  const char* name = nullptr;  // nullptr: not loaded
  int (*device_count)() = nullptr;
  void* (*alloc)(std::size_t bytes,
                 int index) = nullptr;  // 64-byte aligned at least; never nullptr
  void (*release)(void* address, std::size_t bytes, int index) = nullptr;
  /// Host <-> device or device <-> device; queued on `stream`, ordered with the kernels on it.
  void (*copy)(void* to, const void* from, std::size_t bytes, void* stream) = nullptr;
  void (*fill)(void* to, int byte, std::size_t bytes, void* stream) = nullptr;
  void* (*stream_create)(int index) = nullptr;
  void (*stream_destroy)(void* stream) = nullptr;
  void (*stream_sync)(void* stream) = nullptr;
  void* (*event_create)(int index) = nullptr;
  void (*event_destroy)(void* event) = nullptr;
  void (*event_record)(void* event, void* stream) = nullptr;
  void (*event_wait)(void* event, void* stream) = nullptr;  // the stream waits
  void (*event_sync)(void* event) = nullptr;                // the host waits
  std::array<const void*, static_cast<std::size_t>(Op::kCount)> twins{};
};

/// The table of a kind of device, loaded or not.
Backend& backend_table(DeviceKind kind);

/// The loaded table; throws Error{kDevice} naming the shared object to build when it is not loaded.
const Backend& backend(DeviceKind kind);

/// Loads lib<name>.so (found beside the program) for `kind` and lets it fill its table. Idempotent.
/// Throws Error{kDevice}.
void load_backend(DeviceKind kind);

/// The table of functions of one operation; callers use twins<T>() of op_times.h. Throws
/// Error{kDevice} when the backend is not loaded or lacks this operation.
const void* find_twins(Device device, Op op);

}  // namespace rw::core
