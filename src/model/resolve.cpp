// Part of Ropewalk, MIT licence.
#include "model/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"

namespace rw::model {
namespace {

template <class T>
[[noreturn]] void refuse(const char* key, const T& got, const std::string& want) {
  throw core::Error(core::ErrorKind::kRecipe,
                    fmt::format("model.{}: got {}, want {}", key, got, want));
}

void require_positive(const char* key, std::int64_t got) {
  if (got < 1) refuse(key, got, "a whole number >= 1");
  if (got > std::numeric_limits<std::int32_t>::max()) refuse(key, got, "less than 2^31");
}

template <class Names>
void require_name(const char* key, const std::string& got, const Names& names) {
  std::string all;
  for (const char* name : names) {
    if (got == name) return;
    all += (all.empty() ? "" : ", ") + std::string(name);
  }
  refuse(key, got, "one of " + all);
}

void check_rope(const RopeOptions& rope) {
  require_name("rope_parameters.rope_type", rope.rope_type, kRopeTypes);
  if (!(rope.rope_theta > 0) || !std::isfinite(rope.rope_theta)) {
    refuse("rope_parameters.rope_theta", rope.rope_theta, "a number > 0");
  }
  if (rope.rope_type == "default") return;
  if (!(rope.factor >= 1) || !std::isfinite(rope.factor)) {
    refuse("rope_parameters.factor", rope.factor, "a number >= 1");
  }
  if (rope.rope_type != "llama3") return;
  if (rope.original_max_position_embeddings < 1) {
    refuse("rope_parameters.original_max_position_embeddings",
           rope.original_max_position_embeddings,
           "the context length before scaling; try 8192, as LLaMA 3");
  }
  if (!(rope.low_freq_factor > 0)) {
    refuse("rope_parameters.low_freq_factor", rope.low_freq_factor, "a number > 0");
  }
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    refuse("rope_parameters.high_freq_factor", rope.high_freq_factor,
           fmt::format("more than low_freq_factor ({})", rope.low_freq_factor));
  }
}

void resolve_heads(Options& options) {
  require_positive("num_attention_heads", options.num_attention_heads);
  if (options.num_key_value_heads == 0) options.num_key_value_heads = options.num_attention_heads;
  require_positive("num_key_value_heads", options.num_key_value_heads);
  if (options.num_attention_heads % options.num_key_value_heads != 0) {
    refuse("num_key_value_heads", options.num_key_value_heads,
           fmt::format("a divisor of model.num_attention_heads ({0}); try {0}",
                       options.num_attention_heads));
  }
  // transformers' LlamaConfig refuses other sizes even where head_dim is given.
  if (options.name == "llama" && options.hidden_size % options.num_attention_heads != 0) {
    refuse(
        "hidden_size", options.hidden_size,
        fmt::format(
            "a multiple of model.num_attention_heads ({}); try {}", options.num_attention_heads,
            (options.hidden_size / options.num_attention_heads + 1) * options.num_attention_heads));
  }
  if (options.head_dim == 0) {
    options.head_dim =
        options.name == "qwen3" ? 128 : options.hidden_size / options.num_attention_heads;
  }
  require_positive("head_dim", options.head_dim);
  if (options.head_dim % 2 != 0) {
    refuse(
        "head_dim", options.head_dim,
        fmt::format("an even number (rotary embedding turns pairs); try {}", options.head_dim + 1));
  }
}

}  // namespace

void resolve(Options& options, std::int64_t seq_len) {
  require_name("name", options.name, kFamilyNames);
  require_positive("hidden_size", options.hidden_size);
  require_positive("num_hidden_layers", options.num_hidden_layers);
  require_positive("vocab_size", options.vocab_size);
  resolve_heads(options);
  if (options.intermediate_size == 0) {
    options.intermediate_size = ((options.hidden_size * 8 + 2) / 3 + 63) / 64 * 64;
  }
  require_positive("intermediate_size", options.intermediate_size);
  if (options.max_position_embeddings == 0) options.max_position_embeddings = seq_len;
  if (options.max_position_embeddings < std::max<std::int64_t>(seq_len, 0)) {
    refuse("max_position_embeddings", options.max_position_embeddings,
           fmt::format("at least train.seq_len ({0}); try {0}", seq_len));
  }
  if (!(options.rms_norm_eps > 0)) refuse("rms_norm_eps", options.rms_norm_eps, "a number > 0");
  if (!(options.initializer_range > 0)) {
    refuse("initializer_range", options.initializer_range, "a number > 0");
  }
  check_rope(options.rope_parameters);
}

Recompute recompute_of(const std::string& name) {
  const auto* found = std::find(kRecomputeNames.begin(), kRecomputeNames.end(), name);
  if (found == kRecomputeNames.end()) {
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("train.recompute: got {}, want none, selective or full", name));
  }
  return static_cast<Recompute>(found - kRecomputeNames.begin());
}

}  // namespace rw::model
