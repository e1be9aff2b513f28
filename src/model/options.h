// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rw::model {

inline constexpr std::array<const char*, 2> kFamilyNames{"llama", "qwen3"};
inline constexpr std::array<const char*, 3> kRopeTypes{"default", "linear", "llama3"};

inline constexpr std::array<const char*, 3> kRecomputeNames{"none", "selective", "full"};

/// What a block keeps of a micro-batch between its passes; the rest is made again in the backward
/// pass, with the same bits. kNone: everything. kSelective: what is dear to make (outputs of GEMMs
/// and of attention). kFull: its input alone.
enum class Recompute : std::uint8_t { kNone, kSelective, kFull };

/// The same for the blocks of a stage: its first `full_layers` as kFull, the others as `others`. The
/// first, because theirs are made again last, when the others' are gone.
struct RecomputeOptions {
  Recompute others = Recompute::kNone;
  std::int64_t full_layers = 0;
  /// `layer`: counted from the stage's first.
  Recompute of_layer(std::int64_t layer) const {
    return layer < full_layers ? Recompute::kFull : others;
  }
};

/// Hugging Face's rope_parameters.
struct RopeOptions {
  std::string rope_type = "default";  // a name in kRopeTypes
  double rope_theta = 10000.0;
  double factor = 1.0;                                // linear, llama3
  double low_freq_factor = 1.0;                       // llama3
  double high_freq_factor = 4.0;                      // llama3
  std::int64_t original_max_position_embeddings = 0;  // llama3
};

/// One decoder-only transformer; names are those of Hugging Face's config.json. The recipe's
/// `model` section and an imported config.json both end here. 0 (or absent) means: derived, see
/// resolve().
struct Options {
  std::string name = "llama";  // a name in kFamilyNames
  std::string from;  // folder of a Hugging Face model (or a checkpoint of ours) to start from;
                     // empty: random weights
  std::int64_t hidden_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;  // 0: num_attention_heads
  std::int64_t head_dim = 0;           // 0: hidden_size / num_attention_heads (llama), 128 (qwen3)
  std::int64_t intermediate_size = 0;  // 0: 8/3 · hidden_size rounded up to a multiple of 64
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;  // 0: train.seq_len when training
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;
  RopeOptions rope_parameters;
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;
};

}  // namespace rw::model
