// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rw::kernels {

/// out = silu(gate) · up on one row of `width`; out may be gate or up. One copy per instruction set.
void swiglu_row(const float* gate, const float* up, float* out, std::int64_t width);
void swiglu_row(const core::BF16* gate, const core::BF16* up, core::BF16* out, std::int64_t width);

}  // namespace rw::kernels
