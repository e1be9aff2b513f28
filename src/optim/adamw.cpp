// Part of Ropewalk, MIT licence.
#include "optim/adamw.h"

#include <utility>

#include "core/dry_run.h"
#include "core/error.h"
#include "kernels/adamw/adamw.h"

namespace rw::optim {

Adamw::Adamw(const Options& options, std::vector<AdamwParam> params)
    : options_(options), params_(std::move(params)) {
  const core::MemoryLabel label("optimizer");
  for (const AdamwParam& param : params_) {
    core::require_alike(("Adamw: " + param.name).c_str(),
                        {{"value", &param.value}, {"grad", &param.grad}});
    const core::Tensor& value = param.value;
    exp_avg_.push_back(core::Tensor::zeros(value.shape(), core::DType::kF32, value.device()));
    exp_avg_sq_.push_back(core::Tensor::zeros(value.shape(), core::DType::kF32, value.device()));
  }
}

void Adamw::update(std::int64_t step, double lr, std::span<const float> gradient_scales,
                   const std::function<void(std::size_t)>& updated, core::Stream& stream) {
  if (gradient_scales.size() != params_.size() || step < 1) {
    throw core::Error(core::ErrorKind::kShape, "Adamw::update: got step " + std::to_string(step) +
                                                   ", " + std::to_string(gradient_scales.size()) +
                                                   " gradient scales, want >= 1, " +
                                                   std::to_string(params_.size()));
  }
  kernels::AdamwStep options;
  options.lr = lr;
  options.beta1 = options_.beta1;
  options.beta2 = options_.beta2;
  options.eps = options_.eps;
  options.step = step;
  for (std::size_t i = 0; i < params_.size(); ++i) {
    AdamwParam& param = params_[i];
    options.weight_decay = param.decays ? options_.weight_decay : 0.0;
    options.gradient_scale = gradient_scales[i];
    kernels::adamw_update(param.value, param.grad, exp_avg_[i], exp_avg_sq_[i], options, stream);
    if (updated) updated(i + 1);
  }
}

}  // namespace rw::optim
