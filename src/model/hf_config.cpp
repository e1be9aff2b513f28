// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "core/json_field.h"
#include "core/json_reader.h"
#include "model/hf.h"
#include "model/resolve.h"
#include "store/posix.h"

namespace rw::model {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;
using core::JsonField;

constexpr std::uint64_t kMostConfigBytes = 16U << 20;
constexpr std::int64_t kMostSize = std::numeric_limits<std::int32_t>::max();

/// One config.json or generation_config.json. A key that is there has to be of its type; null stands
/// for an absent one only where transformers itself has None as its default.
class Config {
 public:
  Config(const std::string& text, const std::string& where)
      : json_(core::parse_json(text, {where})), root_(json_, where) {
    if (!json_.is_object()) root_.refuse("a JSON object, as transformers writes it");
  }
  const JsonField& root() const { return root_; }
  const Json& json() const { return json_; }
  bool has(const char* key) const { return root_.has(key); }  // and not null
  std::int64_t integer(const char* key, std::int64_t absent) const {
    const auto value = given(root_, key);
    return value ? value->whole(1, kMostSize) : absent;
  }
  bool flag(const char* key, bool absent) const {
    const auto value = given(root_, key);
    return value ? value->flag() : absent;
  }
  double number(const char* key, double absent) const { return number(root_, key, absent); }
  static double number(const JsonField& object, const char* key, double absent) {
    const auto value = given(object, key);
    return value ? value->number() : absent;
  }
  std::string text(const char* key, const std::string& absent) const {
    return text(root_, key, absent);
  }
  static std::string text(const JsonField& object, const char* key, const std::string& absent) {
    const auto value = given(object, key);
    return value ? value->text() : absent;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: {} is not in this version", root_.where(), what));
  }

 private:
  static std::optional<JsonField> given(const JsonField& object, const char* key) {
    if (!object.json().is_object()) object.refuse("an object");
    if (!object.json().contains(key)) return std::nullopt;
    return object.at(key);
  }

  Json json_;
  JsonField root_;
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
  if (config.text("model_type", "") != "qwen3" || !config.flag("use_sliding_window", false)) {
    return false;
  }
  if (config.json().contains("sliding_window") && !config.has("sliding_window")) return false;
  (void)config.integer("sliding_window", 1);
  if (config.has("layer_types")) return false;  // they decide, layer by layer
  const auto full = config.root().find("max_window_layers");
  return config.integer("num_hidden_layers", kFamilies[1].layers) >
         (full ? full->whole(0, kMostSize) : kMaxWindowLayers);
}

void refuse_part_of_heads(const Config& config, const JsonField& object) {
  const auto factor = object.find("partial_rotary_factor");
  if (factor && factor->number() != 1.0) {
    config.refuse("partial_rotary_factor: " + core::shown_json(factor->json()));
  }
}

void refuse_unsupported(const Config& config) {
  const JsonField& root = config.root();
  for (const char* key : {"attention_bias", "mlp_bias", "qkv_bias"}) {
    if (config.flag(key, false)) config.refuse(std::string(key) + ": true (biases)");
  }
  const auto act = config.text("hidden_act", "silu");
  if (act != "silu" && act != "swish") config.refuse("hidden_act: " + act);
  if (config.has("quantization_config")) config.refuse("quantization_config (quantised weights)");
  for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
    const auto experts = root.find(key);
    if (experts && experts->whole(0, kMostSize) > 0) {
      config.refuse(std::string(key) + " (mixture of experts)");
    }
  }
  if (slides(config)) config.refuse("use_sliding_window: true (a sliding window in use)");
  if (const auto types = root.find("layer_types")) {
    for (const JsonField& type : types->list("a kind for each layer")) {
      if (type.text() != "full_attention") config.refuse("layer_types: " + type.text());
    }
  }
  refuse_part_of_heads(config, root);
}

/// rope_scaling of transformers 4, unless it says nothing; else rope_parameters of transformers 5.
std::optional<JsonField> rope_of(const Config& config) {
  auto scaling = config.root().find("rope_scaling");
  if (scaling && !(scaling->json().is_object() && scaling->json().empty())) return scaling;
  return config.root().find("rope_parameters");
}

RopeOptions read_rope(const Config& config, std::int64_t max_positions) {
  RopeOptions out;
  out.rope_theta = config.number("rope_theta", out.rope_theta);
  if (const auto beside = config.root().find("rope_parameters")) {
    out.rope_theta = Config::number(*beside, "rope_theta", out.rope_theta);
  }
  const auto rope = rope_of(config);
  if (!rope) return out;
  out.rope_type = Config::text(*rope, "rope_type", Config::text(*rope, "type", out.rope_type));
  if (std::find(kRopeTypes.begin(), kRopeTypes.end(), out.rope_type) == kRopeTypes.end()) {
    config.refuse("RoPE kind '" + out.rope_type + "' (known: default, linear, llama3)");
  }
  refuse_part_of_heads(config, *rope);
  out.rope_theta = Config::number(*rope, "rope_theta", out.rope_theta);
  if (out.rope_type == "default") return out;
  out.factor = rope->at("factor").number();
  if (out.rope_type != "llama3") return out;
  out.low_freq_factor = rope->at("low_freq_factor").number();
  out.high_freq_factor = rope->at("high_freq_factor").number();
  const auto trained = rope->find("original_max_position_embeddings");
  out.original_max_position_embeddings = trained ? trained->whole(1, kMostSize) : max_positions;
  return out;
}

/// What is there replaces what `out` has; null: none.
void read_token_ids(const Config& config, Options& out) {
  const auto id = [](const JsonField& field) { return field.whole(0, kMostSize); };
  if (config.json().contains("bos_token_id")) {
    const auto bos = config.root().find("bos_token_id");
    out.bos_token_id = bos ? std::optional(id(*bos)) : std::nullopt;
  }
  if (!config.json().contains("eos_token_id")) return;
  out.eos_token_ids.clear();
  const auto eos = config.root().find("eos_token_id");
  if (!eos) return;
  if (!eos->json().is_array() && !eos->json().is_number()) {
    eos->refuse("a token id or a list of them");
  }
  for (const JsonField& one : eos->one_or_list()) out.eos_token_ids.push_back(id(one));
}

/// The rules between the keys are those of a recipe's section `model`.
void check_sizes(const Config& config, const Options& out) {
  if (out.num_attention_heads % out.num_key_value_heads != 0) {
    config.root().at("num_key_value_heads").refuse("a divisor of num_attention_heads");
  }
  try {
    Options whole = out;
    resolve(whole, 0);
  } catch (const Error& error) {
    std::string_view what = error.what();
    constexpr std::string_view kSection = "model.";
    if (what.starts_with(kSection)) what.remove_prefix(kSection.size());
    throw Error(ErrorKind::kDataMalformed, fmt::format("{}: {}", config.root().where(), what));
  }
}

}  // namespace

Options parse_hf_config(const std::string& text, const std::string& where) {
  const Config config(text, where);
  Options out;
  out.name = config.text("model_type", "");
  const auto family = std::find_if(kFamilies.begin(), kFamilies.end(),
                                   [&](const auto& known) { return out.name == known.name; });
  if (family == kFamilies.end()) {
    config.refuse("model_type '" + out.name + "' (known: llama, qwen3)");
  }
  refuse_unsupported(config);
  out.hidden_size = config.integer("hidden_size", family->hidden_size);
  out.num_hidden_layers = config.integer("num_hidden_layers", family->layers);
  out.num_attention_heads = config.integer("num_attention_heads", family->heads);
  const auto kv = config.root().find("num_key_value_heads");
  const bool null_kv = !kv && config.json().contains("num_key_value_heads");
  out.num_key_value_heads = kv                                 ? kv->whole(1, kMostSize)
                            : null_kv || family->kv_heads == 0 ? out.num_attention_heads
                                                               : family->kv_heads;
  const auto head_dim = config.root().find("head_dim");
  out.head_dim = head_dim               ? head_dim->whole(1, kMostSize)
                 : family->head_dim > 0 ? family->head_dim
                                        : out.hidden_size / out.num_attention_heads;
  out.intermediate_size = config.integer("intermediate_size", family->intermediate_size);
  out.vocab_size = config.integer("vocab_size", family->vocab_size);
  out.max_position_embeddings = config.integer("max_position_embeddings", family->max_positions);
  out.rms_norm_eps = config.number("rms_norm_eps", 1e-6);
  out.tie_word_embeddings = config.flag("tie_word_embeddings", false);
  out.initializer_range = config.number("initializer_range", 0.02);
  out.rope_parameters = read_rope(config, out.max_position_embeddings);
  if (family->bos >= 0) out.bos_token_id = family->bos;
  if (family->eos >= 0) out.eos_token_ids = {family->eos};
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
  Options out =
      parse_hf_config(store::read_whole(*store, path.string(), kMostConfigBytes), path.string());
  out.from = folder;
  const auto generation = (std::filesystem::path(folder) / "generation_config.json").string();
  if (store->exists(generation)) {
    const std::string text = store::read_whole(*store, generation, kMostConfigBytes);
    read_token_ids(Config(text, generation), out);
  }
  return out;
}

}  // namespace rw::model
