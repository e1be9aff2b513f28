// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::kernels {

/// Loops over one row that several operations share. One copy per instruction set.
float row_max(const float* x, std::int64_t width);
/// Sum of exp(x − shift): f32 within 1024 elements, f64 across.
double row_exp_sum(const float* x, float shift, std::int64_t width);
/// out = exp(x − shift), out may be x; returns their sum as above.
double row_exp(const float* x, float shift, float* out, std::int64_t width);
void row_scale(float* x, float factor, std::int64_t width);
float row_dot(const float* a, const float* b, std::int64_t width);

}  // namespace rw::kernels
