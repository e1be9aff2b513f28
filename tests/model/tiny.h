// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "model/resolve.h"
#include "model/stage.h"
#include "support/numbers.h"

namespace rw::test {

/// A model small enough for finite differences. Weights are large, so that every part matters.
inline model::Options tiny(const std::string& family, bool tied,
                           const std::string& rope = "default") {
  model::Options out;
  out.name = family;
  out.hidden_size = 12;
  out.num_hidden_layers = 3;
  out.num_attention_heads = 4;
  out.num_key_value_heads = 2;
  out.head_dim = 6;
  out.intermediate_size = 20;
  out.vocab_size = 23;
  out.tie_word_embeddings = tied;
  out.initializer_range = 0.4;
  out.rope_parameters.rope_type = rope;
  out.rope_parameters.rope_theta = 100;
  out.rope_parameters.factor = rope == "default" ? 1.0 : 4.0;
  if (rope == "llama3") out.rope_parameters.original_max_position_embeddings = 16;
  model::resolve(out, 16);
  return out;
}

inline model::StageRange whole(const model::Options& options) {
  return {0, options.num_hidden_layers, true, true};
}

/// Random weights; norm weights other than 1.
inline std::shared_ptr<model::Params> random_params(const model::Options& options,
                                                    const std::vector<model::StageRange>& ranges,
                                                    std::uint64_t seed = 7) {
  auto out = model::make_params(options, ranges);
  out->initialise(options, seed);
  for (model::Param& param : out->all) {
    if (!param.spec.ones) continue;
    std::vector<float> values = core::to_floats(param.value);
    core::Tensor noise = core::Tensor::empty(param.value.shape());
    core::fill_normal(seed + 1, param.spec.name, 0.3F, 0, noise);
    const std::vector<float> more = core::to_floats(noise);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += more[i];
    core::copy_from_host(values.data(), values.size() * sizeof(float), param.value);
  }
  return out;
}

/// Ids and their successors; every seventh target is padding.
struct Batch {
  Batch(const model::Options& options, std::int64_t rows, std::int64_t tokens, std::uint64_t seed)
      : batch(rows), length(tokens) {
    for (std::int64_t i = 0; i < rows * tokens; ++i) {
      const std::uint64_t mixed = core::mix64(seed * 1000 + static_cast<std::uint64_t>(i));
      const auto vocab = static_cast<std::uint64_t>(options.vocab_size);
      ids.push_back(static_cast<std::int32_t>(mixed % vocab));
      const bool padding = i % 7 == 5;
      targets.push_back(padding ? -100 : static_cast<std::int32_t>((mixed >> 20) % vocab));
      real += padding ? 0 : 1;
    }
  }
  /// With the gradient of the mean loss over this batch's real targets.
  model::StageInput input() const {
    model::StageInput out;
    out.batch = batch;
    out.tokens = length;
    out.token_ids = ints(ids);
    out.targets = ints(targets);
    out.gradient_scale = 1.0F / static_cast<float>(real);
    return out;
  }
  std::int64_t batch, length;
  std::int64_t real = 0;
  std::vector<std::int32_t> ids, targets;
};

/// Forward and backward of one batch; returns the mean loss.
inline double learn_from(model::Stage& stage, const Batch& batch) {
  core::Stream stream;
  std::unique_ptr<model::Saved> saved;
  const model::StageOutput out = stage.forward(batch.input(), &saved, stream);
  stage.backward(std::move(saved), {}, {}, stream);
  return out.loss_sum / static_cast<double>(batch.real);
}

inline double mean_loss(model::Stage& stage, const Batch& batch) {
  core::Stream stream;
  return stage.forward(batch.input(), nullptr, stream).loss_sum / static_cast<double>(batch.real);
}

/// All gradients by name, as one list of numbers each.
inline std::vector<std::pair<std::string, std::vector<float>>> gradients(
    const model::Params& params) {
  std::vector<std::pair<std::string, std::vector<float>>> out;
  for (const model::Param& param : params.all) {
    out.emplace_back(param.spec.name, core::to_floats(param.grad));
  }
  return out;
}

}  // namespace rw::test
