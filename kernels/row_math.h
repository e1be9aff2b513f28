// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rw::kernels {

/// Loops over one row that several operations share. One copy per instruction set.
float row_max(const float* x, std::int64_t width);
float row_max(const core::BF16* x, std::int64_t width);
/// Sum of exp(x − shift): f32 within 1024 elements, f64 across.
double row_exp_sum(const float* x, float shift, std::int64_t width);
double row_exp_sum(const core::BF16* x, float shift, std::int64_t width);
/// out = exp(x − shift), out may be x; returns their sum as above.
double row_exp(const float* x, float shift, float* out, std::int64_t width);
/// x = exp(x − shift) · factor.
void row_exp_scaled(core::BF16* x, float shift, float factor, std::int64_t width);
void row_scale(float* x, float factor, std::int64_t width);
void row_add(const float* x, float* sum, std::int64_t width);  // sum += x
float row_dot(const float* a, const float* b, std::int64_t width);
/// out = x in the other dtype, to nearest even.
void row_convert(const core::BF16* x, float* out, std::int64_t width);
void row_convert(const float* x, core::BF16* out, std::int64_t width);

}  // namespace rw::kernels
