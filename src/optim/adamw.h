// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "optim/options.h"

namespace rw::optim {

/// What AdamW updates: a parameter or a range of one. value, grad: f32, one shape; other names of the
/// owner's memory.
struct AdamwParam {
  std::string name;
  core::Tensor value, grad;
  bool decays = false;
};

/// AdamW (decoupled weight decay on those parameters that decay). Not thread-safe.
class Adamw {
 public:
  /// Moments start as f32 zeros on the device of each value. Throws Error{kShape} when a value and
  /// its gradient differ in shape.
  Adamw(const Options& options, std::vector<AdamwParam> params);

  /// One update of every parameter from its gradient times its entry of `gradient_scales` (one per
  /// parameter, in the order given). `step` counts from 1 and gives the bias correction. `updated`
  /// (may be empty) hears how many are queued on `stream`, after each. Throws Error{kShape} on a
  /// wrong count, before anything changes.
  void update(std::int64_t step, double lr, std::span<const float> gradient_scales,
              const std::function<void(std::size_t)>& updated, core::Stream& stream);
  void update(std::int64_t step, double lr, std::span<const float> gradient_scales,
              core::Stream& stream) {
    update(step, lr, gradient_scales, {}, stream);
  }

  std::size_t size() const { return params_.size(); }
  const AdamwParam& param(std::size_t i) const { return params_.at(i); }
  core::Tensor& exp_avg(std::size_t i) { return exp_avg_.at(i); }
  core::Tensor& exp_avg_sq(std::size_t i) { return exp_avg_sq_.at(i); }

 private:
  Options options_;
  std::vector<AdamwParam> params_;
  std::vector<core::Tensor> exp_avg_;
  std::vector<core::Tensor> exp_avg_sq_;
};

}  // namespace rw::optim
