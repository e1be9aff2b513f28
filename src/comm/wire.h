// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::comm {

/// What f32 numbers become between ranks. kBF16 halves the bytes: every rank's numbers are rounded to
/// bf16 on their way in (its own ones too), added in f32, and the sum is rounded to bf16.
enum class Wire : std::uint8_t { kF32, kBF16 };
inline const char* wire_name(Wire wire) { return wire == Wire::kF32 ? "f32" : "bf16"; }

}  // namespace rw::comm
