// Part of Ropewalk, MIT licence.
#include "model/hf.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/error.h"
#include "core/json_field.h"
#include "core/json_reader.h"
#include "model/hf_weights.h"
#include "store/posix.h"
#include "store/safetensors.h"

namespace rw::model {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;
using core::JsonField;

[[noreturn]] void malformed(const std::string& folder, const std::string& what) {
  throw Error(ErrorKind::kDataMalformed, folder + ": " + what);
}

/// A tied model may carry its head a second time, not another one: transformers 4 would tie the two
/// and transformers 5 would not.
void check_tied_copy(const HfWeights& model, const std::string& folder, Params& params) {
  constexpr const char* kHead = "lm_head.weight";
  const Param* embedding = params.find("model.embed_tokens.weight");
  if (embedding == nullptr || !model.contains(kHead)) return;
  bool equal = model.shape(kHead) == embedding->spec.shape;
  if (equal) {
    core::Tensor head = core::Tensor::empty(embedding->spec.shape);
    model.read_f32(kHead, head);
    equal = core::to_floats(head) == core::to_floats(embedding->value);
  }
  if (equal) return;
  malformed(folder, fmt::format("tie_word_embeddings is true, but {} is another matrix than {}; "
                                "set it to false in config.json, or remove the tensor",
                                kHead, embedding->spec.name));
}

Json rope_json(const RopeOptions& rope) {
  Json out;
  out["rope_type"] = rope.rope_type;
  if (rope.rope_type != "default") out["factor"] = rope.factor;
  if (rope.rope_type == "llama3") {
    out["low_freq_factor"] = rope.low_freq_factor;
    out["high_freq_factor"] = rope.high_freq_factor;
    out["original_max_position_embeddings"] = rope.original_max_position_embeddings;
  }
  return out;
}

void add_token_ids(const Options& options, Json& out) {
  out["bos_token_id"] = options.bos_token_id ? Json(*options.bos_token_id) : Json(nullptr);
  if (options.eos_token_ids.empty()) {
    out["eos_token_id"] = nullptr;
  } else if (options.eos_token_ids.size() == 1) {
    out["eos_token_id"] = options.eos_token_ids.front();
  } else {
    out["eos_token_id"] = options.eos_token_ids;
  }
}

Json config_json(const Options& options) {
  const bool qwen3 = options.name == "qwen3";
  Json out;
  out["architectures"] = Json::array({qwen3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM"});
  out["attention_bias"] = false;
  out["attention_dropout"] = 0.0;
  add_token_ids(options, out);
  out["head_dim"] = options.head_dim;
  out["hidden_act"] = "silu";
  out["hidden_size"] = options.hidden_size;
  out["initializer_range"] = options.initializer_range;
  out["intermediate_size"] = options.intermediate_size;
  out["max_position_embeddings"] = options.max_position_embeddings;
  if (qwen3) {
    out["sliding_window"] = nullptr;
    out["use_sliding_window"] = false;
  } else {
    out["mlp_bias"] = false;
  }
  out["model_type"] = options.name;
  out["num_attention_heads"] = options.num_attention_heads;
  out["num_hidden_layers"] = options.num_hidden_layers;
  out["num_key_value_heads"] = options.num_key_value_heads;
  out["rms_norm_eps"] = options.rms_norm_eps;
  // Version 4 reads rope_theta and rope_scaling, version 5 rope_parameters: both say the same.
  Json parameters = rope_json(options.rope_parameters);
  out["rope_scaling"] =
      options.rope_parameters.rope_type == "default" ? Json(nullptr) : Json(parameters);
  out["rope_theta"] = options.rope_parameters.rope_theta;
  parameters["rope_theta"] = options.rope_parameters.rope_theta;
  out["rope_parameters"] = parameters;
  out["tie_word_embeddings"] = options.tie_word_embeddings;
  out["torch_dtype"] = "float32";
  out["use_cache"] = true;
  out["vocab_size"] = options.vocab_size;
  return out;
}

}  // namespace

void check_hf_weights(const std::string& folder, const Options& options,
                      const std::string& strip_prefix) {
  const auto store = store::make_posix();
  HfWeights(*store, folder, strip_prefix).check(options);
}

void load_hf(const std::string& folder, const Options& options, Params& params,
             const std::string& strip_prefix) {
  const auto store = store::make_posix();
  const HfWeights weights(*store, folder, strip_prefix);
  weights.check(options);
  for (auto& param : params.all) weights.read_f32(param.spec.name, param.value);
  if (options.tie_word_embeddings) check_tied_copy(weights, folder, params);
}

void export_hf(const std::string& folder, const Options& options,
               const std::function<core::Tensor(const ParamSpec&)>& param) {
  const auto store = store::make_posix();
  const std::filesystem::path path(folder);
  store->make_folders(folder);
  const auto table = param_table(options);
  std::vector<store::SafetensorsEntry> entries;
  entries.reserve(table.size());
  for (const auto& spec : table)
    entries.push_back({spec.name, core::DType::kF32, spec.shape, 0, 0});
  store::SafetensorsWriter writer(*store, (path / "model.safetensors").string(), std::move(entries),
                                  {{"format", "pt"}});
  for (const auto& spec : table) writer.write(spec.name, param(spec));
  writer.finish();
  Json generation;
  add_token_ids(options, generation);
  store::write_whole(*store, (path / "generation_config.json").string(), generation.dump(2) + "\n");
  store::write_whole(*store, (path / "config.json").string(), config_json(options).dump(2) + "\n");
}

void write_tokenizer(const std::string& folder, const std::string& tokenizer_json,
                     std::int64_t end_of_text) {
  const auto store = store::make_posix();
  const std::filesystem::path path(folder);
  const Json tokenizer = core::parse_json(tokenizer_json, {"tokenizer.json"});
  Json config;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["clean_up_tokenization_spaces"] = false;
  if (const auto added = JsonField(tokenizer, "tokenizer.json").find("added_tokens")) {
    for (const JsonField& token : added->list("added tokens")) {
      if (token.at("id").json() == end_of_text) config["eos_token"] = token.at("content").text();
    }
  }
  store::write_whole(*store, (path / "tokenizer.json").string(), tokenizer_json);
  store::write_whole(*store, (path / "tokenizer_config.json").string(), config.dump(2) + "\n");
}

}  // namespace rw::model
