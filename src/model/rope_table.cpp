// Part of Ropewalk, MIT licence.
#include "model/rope_table.h"

#include <cmath>
#include <cstddef>
#include <numbers>

#include "core/dry_run.h"

namespace rw::model {
namespace {

/// LLaMA 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
float llama3_frequency(float frequency, const RopeOptions& rope) {
  const double original = static_cast<double>(rope.original_max_position_embeddings);
  const auto factor = static_cast<float>(rope.factor);
  const auto low_wavelength = static_cast<float>(original / rope.low_freq_factor);
  const auto high_wavelength = static_cast<float>(original / rope.high_freq_factor);
  const float wavelength = static_cast<float>(2.0 * std::numbers::pi) / frequency;
  if (wavelength > low_wavelength) return frequency / factor;
  if (wavelength < high_wavelength) return frequency;
  const float smooth =
      (static_cast<float>(original) / wavelength - static_cast<float>(rope.low_freq_factor)) /
      static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
  return (1.0F - smooth) * frequency / factor + smooth * frequency;
}

}  // namespace

std::vector<float> rope_inverse_frequencies(const Options& options) {
  const RopeOptions& rope = options.rope_parameters;
  const auto theta = static_cast<float>(rope.rope_theta);
  const auto head_dim = static_cast<float>(options.head_dim);
  std::vector<float> out(static_cast<std::size_t>(options.head_dim / 2));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float frequency = 1.0F / std::pow(theta, static_cast<float>(2 * i) / head_dim);
    if (rope.rope_type == "linear") {
      out[i] = frequency / static_cast<float>(rope.factor);
    } else if (rope.rope_type == "llama3") {
      out[i] = llama3_frequency(frequency, rope);
    } else {
      out[i] = frequency;
    }
  }
  return out;
}

RopeTable make_rope_table(const Options& options, std::int64_t positions, core::Device device) {
  const std::vector<float> frequencies = rope_inverse_frequencies(options);
  const core::Shape shape{positions, options.head_dim / 2};
  if (core::DryRun::current() != nullptr) {
    return {core::Tensor::empty(shape, core::DType::kF32, device),
            core::Tensor::empty(shape, core::DType::kF32, device)};
  }
  std::vector<float> cos;
  std::vector<float> sin;
  cos.reserve(static_cast<std::size_t>(positions) * frequencies.size());
  sin.reserve(cos.capacity());
  for (std::int64_t position = 0; position < positions; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }
  return {core::Tensor::of(shape, cos, core::DType::kF32, device),
          core::Tensor::of(shape, sin, core::DType::kF32, device)};
}

}  // namespace rw::model
