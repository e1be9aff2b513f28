// Part of Ropewalk, MIT licence.
#include "model/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "kernels/attention/attention.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"
#include "model/rope_table.h"

namespace rw::model {
namespace {

using core::Tensor;

constexpr std::int64_t kPrefillTokens = 512;  // of a prompt, at once

/// y = x · wᵀ: a linear layer.
Tensor linear(const Tensor& x, const Tensor& weight, core::Stream& stream) {
  Tensor y = Tensor::empty({x.shape()[0], weight.shape()[0]}, core::DType::kF32, x.device());
  kernels::MatmulOptions options;
  options.b = kernels::Transpose::kYes;
  kernels::matmul(x, weight, y, options, stream);
  return y;
}

struct Layer {
  Tensor input_norm, qkv, q_norm, k_norm, o, post_norm, gate_up, down;
  Tensor k_cache, v_cache;  // [1, Tmax, Hkv, Dh]
};

}  // namespace

struct Decoder::Impl {
  Options options;
  core::Device device;
  core::Stream stream;
  Tensor embedding, final_norm, head;
  std::vector<Layer> layers;
  RopeTable rope;
  std::int64_t past = 0;
  std::int64_t max_tokens = 0;

  Impl(const Options& model, Params& params, std::int64_t limit, core::Device where)
      : options(model),
        device(where),
        stream(where),
        rope(make_rope_table(model, limit, where)),
        max_tokens(limit) {
    const auto value = [&](const std::string& name) { return params.find(name)->value; };
    embedding = value("model.embed_tokens.weight");
    final_norm = value("model.norm.weight");
    head = options.tie_word_embeddings ? embedding : value("lm_head.weight");
    for (std::int64_t i = 0; i < options.num_hidden_layers; ++i) layers.push_back(layer(i, params));
  }

  Layer layer(std::int64_t i, Params& params) const {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    const auto value = [&](const char* name) { return params.find(prefix + name)->value; };
    const auto hidden = options.hidden_size;
    const auto rows =
        (options.num_attention_heads + 2 * options.num_key_value_heads) * options.head_dim;
    Layer out;
    out.input_norm = value("input_layernorm.weight");
    out.post_norm = value("post_attention_layernorm.weight");
    // The three projections are consecutive rows of one buffer (params.h), as are gate and up.
    out.qkv = Tensor::wrap(value("self_attn.q_proj.weight").address(), {rows, hidden},
                           core::DType::kF32, device);
    out.gate_up = Tensor::wrap(value("mlp.gate_proj.weight").address(),
                               {2 * options.intermediate_size, hidden}, core::DType::kF32, device);
    out.o = value("self_attn.o_proj.weight");
    out.down = value("mlp.down_proj.weight");
    if (options.name == "qwen3") {
      out.q_norm = value("self_attn.q_norm.weight");
      out.k_norm = value("self_attn.k_norm.weight");
    }
    const core::Shape cache{1, max_tokens, options.num_key_value_heads, options.head_dim};
    out.k_cache = Tensor::zeros(cache, core::DType::kF32, device);
    out.v_cache = Tensor::zeros(cache, core::DType::kF32, device);
    return out;
  }

  /// One block on x [T, D], in place.
  void block(Layer& layer, Tensor& x, const Tensor& positions) {
    const auto tokens = x.shape()[0];
    const kernels::HeadLayout heads{1, tokens, options.num_attention_heads,
                                    options.num_key_value_heads, options.head_dim};
    const auto eps = static_cast<float>(options.rms_norm_eps);
    Tensor rstd = Tensor::empty({tokens}, core::DType::kF32, device);
    Tensor normed = Tensor::like(x);
    kernels::rms_norm_forward(x, layer.input_norm, eps, normed, rstd, stream);
    Tensor qkv = linear(normed, layer.qkv, stream);
    if (layer.q_norm.defined()) {
      Tensor raw = qkv;
      qkv = Tensor::like(raw);
      Tensor head_rstd = Tensor::empty({tokens, heads.heads + heads.kv_heads});
      kernels::qk_norm_forward(raw, layer.q_norm, layer.k_norm, eps, qkv, head_rstd, heads, stream);
    }
    kernels::rope(qkv, positions, rope.cos, rope.sin, heads.heads + heads.kv_heads,
                  kernels::Rotation::kForward, stream);
    Tensor attended =
        Tensor::empty({tokens, heads.heads * heads.head_dim}, core::DType::kF32, device);
    const auto start = static_cast<std::int32_t>(past);
    const Tensor past_tokens = Tensor::of_ints({1}, std::span(&start, 1));
    kernels::attention_cached(qkv, past_tokens, layer.k_cache, layer.v_cache, attended, heads,
                              stream);
    const Tensor delta = linear(attended, layer.o, stream);
    kernels::add_rms_norm_forward(x, delta, layer.post_norm, eps, x, normed, rstd, stream);
    const Tensor gate_up = linear(normed, layer.gate_up, stream);
    Tensor hidden = Tensor::empty({tokens, options.intermediate_size}, core::DType::kF32, device);
    kernels::swiglu_forward(gate_up, hidden, stream);
    kernels::add(x, linear(hidden, layer.down, stream), x, stream);
  }

  /// Hidden state [T, D] after all layers.
  Tensor trunk(std::span<const std::int32_t> ids) {
    const auto tokens = static_cast<std::int64_t>(ids.size());
    std::vector<std::int32_t> positions(ids.size());
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(past));
    const Tensor where = Tensor::of_ints({tokens}, positions, device);
    Tensor x = Tensor::empty({tokens, options.hidden_size}, core::DType::kF32, device);
    kernels::embedding_forward(Tensor::of_ints({tokens}, ids, device), embedding, x, stream);
    for (auto& layer : layers) block(layer, x, where);
    past += tokens;
    return x;
  }

  std::vector<float> logits(const Tensor& x) {
    const auto tokens = x.shape()[0];
    const Tensor last = x.rows(tokens - 1, tokens);
    Tensor normed = Tensor::like(last);
    Tensor rstd = Tensor::empty({1}, core::DType::kF32, device);
    kernels::rms_norm_forward(last, final_norm, static_cast<float>(options.rms_norm_eps), normed,
                              rstd, stream);
    return core::to_floats(linear(normed, head, stream));
  }
};

Decoder::Decoder(const Options& options, Params& params, std::int64_t max_tokens,
                 core::Device device)
    : impl_(std::make_unique<Impl>(options, params, max_tokens, device)) {}
Decoder::~Decoder() = default;

std::vector<float> Decoder::feed(std::span<const std::int32_t> ids) {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (count == 0 || impl_->past + count > impl_->max_tokens) {
    throw core::Error(core::ErrorKind::kShape,
                      fmt::format("decoder: got {} tokens after {}, want 1 to {} in all", count,
                                  impl_->past, impl_->max_tokens));
  }
  Tensor x;
  for (std::int64_t begin = 0; begin < count; begin += kPrefillTokens) {
    const auto take = std::min(kPrefillTokens, count - begin);
    x = impl_->trunk(ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(take)));
  }
  return impl_->logits(x);
}

std::int32_t sample(std::span<const float> logits, const SamplingOptions& options, std::int64_t i) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (options.temperature <= 0) return static_cast<std::int32_t>(best - logits.begin());
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](std::int32_t a, std::int32_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  std::vector<double> weights(ids.size());
  double total = 0;
  for (std::size_t k = 0; k < ids.size(); ++k) {
    const double above = double{logits[static_cast<std::size_t>(ids[k])]} - double{*best};
    weights[k] = std::exp(above / options.temperature);
    total += weights[k];
  }
  double kept = 0;
  std::size_t count = 0;
  while (count < ids.size() && (count == 0 || kept < options.top_p * total))
    kept += weights[count++];
  const core::RngCell cell{options.seed, core::Purpose::kSampling, 0, 0, 0};
  double left = core::uniform(cell, static_cast<std::uint64_t>(i)) * kept;
  for (std::size_t k = 0; k < count; ++k) {
    left -= weights[k];
    if (left < 0) return ids[k];
  }
  return ids[count - 1];
}

std::vector<std::int32_t> generate(const Options& options, Params& params,
                                   std::span<const std::int32_t> prompt, const GenerateOptions& how,
                                   const std::function<void(std::int32_t)>& on_token) {
  std::vector<std::int32_t> out;
  if (how.max_new_tokens <= 0) return out;
  Decoder decoder(options, params, static_cast<std::int64_t>(prompt.size()) + how.max_new_tokens);
  std::vector<float> logits = decoder.feed(prompt);
  while (true) {
    const auto i = static_cast<std::int64_t>(out.size());
    const std::int32_t id = sample(logits, how.sampling, i);
    out.push_back(id);
    if (on_token) on_token(id);
    const bool stop = std::find(how.stop_ids.begin(), how.stop_ids.end(), id) != how.stop_ids.end();
    if (stop || i + 1 == how.max_new_tokens) return out;
    logits = decoder.feed(std::span(&id, 1));
  }
}

}  // namespace rw::model
