// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "model/hf.h"
#include "store/posix.h"

namespace rw::model {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;

/// One config.json with messages that say where.
class Config {
 public:
  Config(const std::string& text, std::string where) : where_(std::move(where)) {
    json_ = Json::parse(text, nullptr, false);
    if (json_.is_discarded() || !json_.is_object()) {
      throw Error(ErrorKind::kDataMalformed, where_ + ": got no JSON object, want a config.json");
    }
  }
  const Json& json() const { return json_; }
  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  std::int64_t integer(const char* key, std::int64_t absent) const {
    if (!has(key)) return absent;
    const Json& value = json_.at(key);
    if (!value.is_number_integer() || value.get<std::int64_t>() < 1) {
      malformed(key, value, "a whole number from 1");
    }
    return value.get<std::int64_t>();
  }
  double number(const Json& object, const char* key, double absent) const {
    if (!object.contains(key) || object.at(key).is_null()) return absent;
    if (!object.at(key).is_number()) malformed(key, object.at(key), "a number");
    return object.at(key).get<double>();
  }
  bool flag(const char* key, bool absent) const {
    if (!has(key)) return absent;
    if (!json_.at(key).is_boolean()) malformed(key, json_.at(key), "true or false");
    return json_.at(key).get<bool>();
  }
  std::string text(const Json& object, const char* key, const std::string& absent) const {
    if (!object.contains(key) || object.at(key).is_null()) return absent;
    if (!object.at(key).is_string()) malformed(key, object.at(key), "a string");
    return object.at(key).get<std::string>();
  }
  [[noreturn]] void malformed(const char* key, const Json& got, const char* want) const {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: {}: got {}, want {}", where_, key, got.dump(), want));
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} is not in this version", where_, what));
  }

 private:
  std::string where_;
  Json json_;
};

/// What the family's config class of transformers assumes for absent keys.
struct FamilyDefaults {
  const char* name;
  std::int64_t vocab_size, hidden_size, intermediate_size, layers, heads, kv_heads, head_dim,
      max_positions;      // 0: derived
  std::int64_t bos, eos;  // -1: none
};
constexpr std::array<FamilyDefaults, 2> kFamilies{{
    {"llama", 32000, 4096, 11008, 32, 32, 0, 0, 2048, 1, 2},
    {"qwen3", 151936, 4096, 22016, 32, 32, 32, 128, 32768, -1, -1},
}};

/// Whether some layer of a Qwen3 attends through a sliding window; LLaMA does not know the keys.
bool slides(const Config& config) {
  constexpr std::int64_t kMaxWindowLayers = 28;  // transformers' default; so is a window of 4096
  const Json& json = config.json();
  if (json.value("model_type", "") != "qwen3" || !config.flag("use_sliding_window", false)) {
    return false;
  }
  if (json.contains("sliding_window") && !config.has("sliding_window")) return false;
  if (config.has("layer_types")) return false;  // they decide, layer by layer
  const double full = config.number(json, "max_window_layers", kMaxWindowLayers);
  return config.number(json, "num_hidden_layers", kFamilies[1].layers) > full;
}

void refuse_unsupported(const Config& config) {
  const Json& json = config.json();
  for (const char* key : {"attention_bias", "mlp_bias", "qkv_bias"}) {
    if (config.flag(key, false)) config.refuse(std::string(key) + ": true (biases)");
  }
  const auto act = config.text(json, "hidden_act", "silu");
  if (act != "silu" && act != "swish") config.refuse("hidden_act: " + act);
  if (config.has("quantization_config")) config.refuse("quantization_config (quantised weights)");
  for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
    if (config.has(key)) config.refuse(std::string(key) + " (mixture of experts)");
  }
  if (slides(config)) config.refuse("use_sliding_window: true (a sliding window in use)");
  if (config.has("layer_types")) {
    for (const auto& type : json.at("layer_types")) {
      if (type != "full_attention") config.refuse("layer_types: " + type.dump());
    }
  }
  if (config.number(json, "partial_rotary_factor", 1.0) != 1.0) {
    config.refuse("partial_rotary_factor: " + json.at("partial_rotary_factor").dump());
  }
}

RopeOptions read_rope(const Config& config, std::int64_t max_positions) {
  static const Json kNone = Json::object();
  const Json& json = config.json();
  const bool scaled = config.has("rope_scaling") && !json.at("rope_scaling").empty();
  const Json& rope = scaled                          ? json.at("rope_scaling")
                     : config.has("rope_parameters") ? json.at("rope_parameters")
                                                     : kNone;
  if (!rope.is_object()) config.malformed("rope_parameters", rope, "a mapping");
  RopeOptions out;
  out.rope_type = config.text(rope, "rope_type", config.text(rope, "type", "default"));
  if (std::find(kRopeTypes.begin(), kRopeTypes.end(), out.rope_type) == kRopeTypes.end()) {
    config.refuse("RoPE kind '" + out.rope_type + "' (known: default, linear, llama3)");
  }
  if (config.number(rope, "partial_rotary_factor", 1.0) != 1.0) {
    config.refuse("partial_rotary_factor: " + rope.at("partial_rotary_factor").dump());
  }
  const bool both = config.has("rope_parameters") && json.at("rope_parameters").is_object();
  const double top = config.number(json, "rope_theta", 10000.0);
  const double beside = both ? config.number(json.at("rope_parameters"), "rope_theta", top) : top;
  out.rope_theta = config.number(rope, "rope_theta", beside);
  if (out.rope_type == "default") return out;
  if (!rope.contains("factor")) config.malformed("factor", rope, "factor in the RoPE parameters");
  out.factor = config.number(rope, "factor", 1.0);
  if (out.rope_type != "llama3") return out;
  for (const char* key : {"low_freq_factor", "high_freq_factor"}) {
    if (!rope.contains(key)) config.malformed(key, rope, "this key in the llama3 parameters");
  }
  out.low_freq_factor = config.number(rope, "low_freq_factor", 1.0);
  out.high_freq_factor = config.number(rope, "high_freq_factor", 4.0);
  out.original_max_position_embeddings = static_cast<std::int64_t>(
      config.number(rope, "original_max_position_embeddings", static_cast<double>(max_positions)));
  return out;
}

void read_token_ids(const Config& config, Options& out) {
  if (config.has("bos_token_id") && config.json().at("bos_token_id").is_number_integer()) {
    out.bos_token_id = config.json().at("bos_token_id").get<std::int64_t>();
  }
  if (!config.has("eos_token_id")) return;
  const Json& eos = config.json().at("eos_token_id");
  out.eos_token_ids.clear();
  if (eos.is_number_integer()) {
    out.eos_token_ids.push_back(eos.get<std::int64_t>());
  } else if (eos.is_array()) {
    for (const auto& id : eos) out.eos_token_ids.push_back(id.get<std::int64_t>());
  } else {
    config.malformed("eos_token_id", eos, "a number or a list of numbers");
  }
}

void check_sizes(const Config& config, const Options& out) {
  if (out.num_attention_heads % out.num_key_value_heads != 0) {
    config.malformed("num_key_value_heads", config.json().at("num_key_value_heads"),
                     "a divisor of num_attention_heads");
  }
  if (out.head_dim % 2 != 0) {
    config.malformed("head_dim", Json(out.head_dim), "an even number");
  }
}

}  // namespace

Options parse_hf_config(const std::string& text, const std::string& where) {
  const Config config(text, where);
  Options out;
  out.name = config.text(config.json(), "model_type", "");
  const auto family = std::find_if(kFamilies.begin(), kFamilies.end(),
                                   [&](const auto& known) { return out.name == known.name; });
  if (family == kFamilies.end()) {
    config.refuse("model_type '" + out.name + "' (known: llama, qwen3)");
  }
  refuse_unsupported(config);
  out.hidden_size = config.integer("hidden_size", family->hidden_size);
  out.num_hidden_layers = config.integer("num_hidden_layers", family->layers);
  out.num_attention_heads = config.integer("num_attention_heads", family->heads);
  const auto kv = family->kv_heads > 0 ? family->kv_heads : out.num_attention_heads;
  const bool null_kv =
      config.json().contains("num_key_value_heads") && !config.has("num_key_value_heads");
  out.num_key_value_heads =
      null_kv ? out.num_attention_heads : config.integer("num_key_value_heads", kv);
  const auto head_dim =
      family->head_dim > 0 ? family->head_dim : out.hidden_size / out.num_attention_heads;
  out.head_dim = config.integer("head_dim", head_dim);
  out.intermediate_size = config.integer("intermediate_size", family->intermediate_size);
  out.vocab_size = config.integer("vocab_size", family->vocab_size);
  out.max_position_embeddings = config.integer("max_position_embeddings", family->max_positions);
  out.rms_norm_eps = config.number(config.json(), "rms_norm_eps", 1e-6);
  out.tie_word_embeddings = config.flag("tie_word_embeddings", false);
  out.initializer_range = config.number(config.json(), "initializer_range", 0.02);
  out.rope_parameters = read_rope(config, out.max_position_embeddings);
  if (family->bos >= 0 && !config.json().contains("bos_token_id")) out.bos_token_id = family->bos;
  if (family->eos >= 0 && !config.json().contains("eos_token_id")) {
    out.eos_token_ids = {family->eos};
  }
  read_token_ids(config, out);
  check_sizes(config, out);
  return out;
}

Options read_hf_config(const std::string& folder) {
  const auto store = store::make_posix();
  const auto path = std::filesystem::path(folder) / "config.json";
  if (!store->exists(path.string())) {
    throw Error(ErrorKind::kDataMissing,
                fmt::format("{}: no config.json there; want a Hugging Face model folder", folder));
  }
  Options out = parse_hf_config(store::read_whole(*store, path.string()), path.string());
  out.from = folder;
  const auto generation = (std::filesystem::path(folder) / "generation_config.json").string();
  if (store->exists(generation)) {
    read_token_ids(Config(store::read_whole(*store, generation), generation), out);
  }
  return out;
}

}  // namespace rw::model
