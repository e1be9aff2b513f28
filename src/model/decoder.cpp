// Part of Ropewalk, MIT licence.
#include "model/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/error.h"
#include "model/rope_table.h"

namespace rw::model {
namespace {

using core::Tensor;

/// Rows of one pass: prompts go in such pieces. More would not fit the caches of a core.
constexpr std::int64_t kRowsAtOnce = 64;

Tensor matrix(const Tensor& value, core::DType dtype) {
  if (dtype == core::DType::kF32) return value;
  return Tensor::of(value.shape(), core::to_floats(value), dtype, value.device());
}

kernels::DecodeLayer layer_of(const Options& options, const Params& params,
                              const DecoderOptions& how, std::int64_t i) {
  const std::string prefix = fmt::format("model.layers.{}.", i);
  const auto value = [&](const char* name) { return params.weight(prefix + name).value; };
  kernels::DecodeLayer out;
  out.input_norm = value("input_layernorm.weight");
  out.post_norm = value("post_attention_layernorm.weight");
  out.qkv = matrix(value("self_attn.qkv_proj.weight"), how.weights);
  out.gate_up = matrix(value("mlp.gate_up_proj.weight"), how.weights);
  out.o = matrix(value("self_attn.o_proj.weight"), how.weights);
  out.down = matrix(value("mlp.down_proj.weight"), how.weights);
  if (options.name == "qwen3") {
    out.q_norm = value("self_attn.q_norm.weight");
    out.k_norm = value("self_attn.k_norm.weight");
  }
  const core::Shape cache{how.sequences, options.num_key_value_heads, how.max_tokens,
                          options.head_dim};
  out.keys = Tensor::zeros(cache, how.cache, out.qkv.device());
  out.values = Tensor::zeros(cache, how.cache, out.qkv.device());
  return out;
}

kernels::DecodeModel model_of(const Options& options, const Params& params,
                              const DecoderOptions& how, core::Device device) {
  kernels::DecodeModel out;
  out.eps = static_cast<float>(options.rms_norm_eps);
  out.embedding = matrix(params.weight("model.embed_tokens.weight").value, how.weights);
  out.final_norm = params.weight("model.norm.weight").value;
  out.head = options.tie_word_embeddings
                 ? out.embedding
                 : matrix(params.weight("lm_head.weight").value, how.weights);
  const RopeTable rope = make_rope_table(options, how.max_tokens, device);
  out.cos = rope.cos;
  out.sin = rope.sin;
  for (std::int64_t i = 0; i < options.num_hidden_layers; ++i) {
    out.layers.push_back(layer_of(options, params, how, i));
  }
  return out;
}

}  // namespace

Decoder::Decoder(const Options& options, const Params& params, const DecoderOptions& how,
                 core::Device device)
    : options_(options),
      max_tokens_(how.max_tokens),
      stream_(device),
      model_(model_of(options, params, how, device)),
      scratch_(model_, std::max(kRowsAtOnce, how.sequences)),
      past_(static_cast<std::size_t>(how.sequences), 0) {
  rows_.reserve(static_cast<std::size_t>(scratch_.x.shape()[0]));
}

void Decoder::check(std::span<const Piece> pieces) const {
  for (const Piece& piece : pieces) {
    if (piece.sequence < 0 || piece.sequence >= static_cast<std::int64_t>(past_.size())) {
      throw core::Error(
          core::ErrorKind::kShape,
          fmt::format("decoder: got sequence {}, want 0 to {}", piece.sequence, past_.size() - 1));
    }
    const auto count = static_cast<std::int64_t>(piece.ids.size());
    const std::int64_t past = past_[static_cast<std::size_t>(piece.sequence)];
    if (count == 0 || past + count > max_tokens_) {
      throw core::Error(core::ErrorKind::kShape,
                        fmt::format("decoder: got {} tokens after {}, want 1 to {} in all", count,
                                    past, max_tokens_));
    }
    for (std::size_t i = 0; i < piece.ids.size(); ++i) {
      if (piece.ids[i] >= 0 && piece.ids[i] < options_.vocab_size) continue;
      throw core::Error(core::ErrorKind::kShape,
                        fmt::format("decoder: got token {} at {}, want 0 to {}", piece.ids[i], i,
                                    options_.vocab_size - 1));
    }
  }
}

Tensor Decoder::feed(std::span<const Piece> pieces) {
  check(pieces);
  const auto count = static_cast<std::int64_t>(pieces.size());
  if (!logits_.defined() || logits_.shape()[0] < count) {
    logits_ =
        Tensor::empty({count, options_.vocab_size}, core::DType::kF32, model_.embedding.device());
  }
  answered_ = 0;
  for (const Piece& piece : pieces) {
    std::int64_t& past = past_[static_cast<std::size_t>(piece.sequence)];
    for (std::size_t i = 0; i < piece.ids.size(); ++i) {
      rows_.push_back({piece.ids[i], static_cast<std::int32_t>(piece.sequence),
                       static_cast<std::int32_t>(past++), i + 1 == piece.ids.size()});
      if (static_cast<std::int64_t>(rows_.size()) == scratch_.x.shape()[0]) flush();
    }
  }
  flush();
  return logits_.rows(0, count);
}

void Decoder::flush() {
  if (rows_.empty()) return;
  const std::int64_t wanted = std::count_if(
      rows_.begin(), rows_.end(), [](const kernels::DecodeRow& row) { return row.wants_logits; });
  Tensor logits = wanted > 0 ? logits_.rows(answered_, answered_ + wanted) : Tensor();
  kernels::decode(model_, rows_, scratch_, logits, stream_);
  answered_ += wanted;
  rows_.clear();
}

void Decoder::forget(std::int64_t sequence) { past_.at(static_cast<std::size_t>(sequence)) = 0; }

std::int64_t Decoder::weight_bytes() const {
  std::size_t bytes = model_.head.bytes();
  for (const kernels::DecodeLayer& layer : model_.layers) {
    bytes += layer.qkv.bytes() + layer.o.bytes() + layer.gate_up.bytes() + layer.down.bytes();
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace rw::model
