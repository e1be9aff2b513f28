// Part of Ropewalk, MIT licence.
#pragma once
#include "core/build.h"

namespace rw::kernels {

/// sigma is 1 / (1 + exp(-gate)), by whichever exp the device has.
RW_HOST_DEVICE RW_ALWAYS_INLINE inline float swiglu_value(float gate, float up, float sigma) {
  return gate * sigma * up;
}
/// d/dgate of silu(gate): sigma · (1 + gate · (1 − sigma)).
RW_HOST_DEVICE RW_ALWAYS_INLINE inline float silu_slope(float gate, float sigma) {
  return sigma * (1.0F + gate * (1.0F - sigma));
}

}  // namespace rw::kernels
