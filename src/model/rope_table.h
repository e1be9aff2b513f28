// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "model/options.h"

namespace rw::model {

/// cos, sin [P, Dh/2] f32 of the angle position · inverse frequency, as kernels::rope wants them.
struct RopeTable {
  core::Tensor cos;
  core::Tensor sin;
  std::int64_t positions() const { return cos.defined() ? cos.shape()[0] : 0; }
};

/// [Dh/2] inverse frequencies, in f32 step by step as transformers computes them, so that long
/// positions agree too. `options` must be resolved.
std::vector<float> rope_inverse_frequencies(const Options& options);

/// Rows do not depend on `positions` (P): a longer table starts with the shorter one.
RopeTable make_rope_table(const Options& options, std::int64_t positions, core::Device device = {});

}  // namespace rw::model
