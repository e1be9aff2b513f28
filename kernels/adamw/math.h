// Part of Ropewalk, MIT licence.
#pragma once
#include <cmath>

#include "core/build.h"
#include "kernels/adamw/adamw.h"

namespace rw::kernels {

/// What one step of AdamW multiplies by, worked out once in f64.
struct AdamwFactors {
  float decay = 1;        // 1 − lr · weight_decay
  float take1 = 0;        // 1 − beta1
  float keep2 = 0;        // beta2
  float take2 = 0;        // 1 − beta2
  float step_size = 0;    // lr / (1 − beta1^step)
  float root_factor = 1;  // 1 / sqrt(1 − beta2^step)
  float eps = 0;
  float gradient_scale = 1;
};

inline AdamwFactors adamw_factors(const AdamwStep& options) {
  const double beta1 = options.beta1;
  const double beta2 = options.beta2;
  const auto step = static_cast<double>(options.step);
  AdamwFactors out;
  out.decay = static_cast<float>(1.0 - options.lr * options.weight_decay);
  out.take1 = static_cast<float>(1.0 - beta1);
  out.keep2 = static_cast<float>(beta2);
  out.take2 = static_cast<float>(1.0 - beta2);
  out.step_size = static_cast<float>(options.lr / (1.0 - std::pow(beta1, step)));
  out.root_factor = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, step)));
  out.eps = static_cast<float>(options.eps);
  out.gradient_scale = options.gradient_scale;
  return out;
}

/// One element. PyTorch's order: decay, first moment (as a step towards the gradient), second
/// moment, then param −= step_size · exp_avg / (sqrt(exp_avg_sq) · root_factor + eps).
RW_HOST_DEVICE RW_ALWAYS_INLINE inline void adamw_element(const AdamwFactors& by, float grad,
                                                          float& param, float& exp_avg,
                                                          float& exp_avg_sq) {
  const float g = grad * by.gradient_scale;
  const float m = exp_avg + by.take1 * (g - exp_avg);
  const float v = by.keep2 * exp_avg_sq + by.take2 * g * g;
  param = param * by.decay - by.step_size * (m / (std::sqrt(v) * by.root_factor + by.eps));
  exp_avg = m;
  exp_avg_sq = v;
}

}  // namespace rw::kernels
