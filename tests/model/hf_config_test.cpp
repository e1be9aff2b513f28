// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/hf.h"
#include "model/tiny.h"

namespace rw::model {
namespace {

using core::Json;

Json small_config(const char* family = "llama") {
  return {{"model_type", family},     {"hidden_size", 32},
          {"num_hidden_layers", 2},   {"num_attention_heads", 4},
          {"intermediate_size", 64},  {"vocab_size", 100},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 128}};
}

Options parse(const Json& config) { return parse_hf_config(config.dump(), "config.json"); }

std::string refusal(const Json& config) {
  return test::message_of([&] { parse(config); });
}

Json with(const char* key, const Json& value, const char* family = "llama") {
  Json out = small_config(family);
  out[key] = value;
  return out;
}

TEST(HfConfigTest, Version4) {
  Json config = small_config();
  config["rope_theta"] = 5000.0;
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  config["torch_dtype"] = "bfloat16";
  config["rms_norm_eps"] = 1e-5;
  config["tie_word_embeddings"] = true;
  config["eos_token_id"] = {7, 8};
  config["bos_token_id"] = 1;
  const Options got = parse(config);
  EXPECT_EQ(got.name, "llama");
  EXPECT_EQ(got.head_dim, 8);
  EXPECT_EQ(got.num_key_value_heads, 2);
  EXPECT_EQ(got.rms_norm_eps, 1e-5);
  EXPECT_TRUE(got.tie_word_embeddings);
  EXPECT_EQ(got.rope_parameters.rope_type, "linear");
  EXPECT_EQ(got.rope_parameters.rope_theta, 5000.0);
  EXPECT_EQ(got.rope_parameters.factor, 2.0);
  EXPECT_EQ(got.bos_token_id, 1);
  EXPECT_EQ(got.eos_token_ids, (std::vector<std::int64_t>{7, 8}));
}

TEST(HfConfigTest, Version5) {
  Json config = small_config("qwen3");
  config["rope_parameters"] = {{"rope_type", "llama3"},   {"rope_theta", 500000.0},
                               {"factor", 8.0},           {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 64}};
  config["dtype"] = "float32";
  config["head_dim"] = 16;
  const Options got = parse(config);
  EXPECT_EQ(got.name, "qwen3");
  EXPECT_EQ(got.head_dim, 16);
  EXPECT_EQ(got.rope_parameters.rope_type, "llama3");
  EXPECT_EQ(got.rope_parameters.rope_theta, 500000.0);
  EXPECT_EQ(got.rope_parameters.original_max_position_embeddings, 64);
}

TEST(HfConfigTest, AbsentKeysTakeTheFamilysDefaults) {
  const Options llama = parse({{"model_type", "llama"}});
  EXPECT_EQ(llama.hidden_size, 4096);
  EXPECT_EQ(llama.num_key_value_heads, 32);
  EXPECT_EQ(llama.intermediate_size, 11008);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_EQ(llama.rope_parameters.rope_theta, 10000.0);
  const Options qwen3 = parse({{"model_type", "qwen3"}});
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_EQ(qwen3.vocab_size, 151936);
}

TEST(HfConfigTest, RefusesOtherFamiliesByName) {
  EXPECT_EQ(refusal(small_config("gpt_neox")),
            "config.json: model_type 'gpt_neox' (known: llama, qwen3) is not in this version");
  EXPECT_NE(refusal(small_config("qwen3_moe")).find("qwen3_moe"), std::string::npos);
}

TEST(HfConfigTest, RefusesWhatWouldChangeNumbers) {
  EXPECT_EQ(refusal(with("attention_bias", true)),
            "config.json: attention_bias: true (biases) is not in this version");
  EXPECT_NE(refusal(with("mlp_bias", true)).find("mlp_bias"), std::string::npos);
  EXPECT_EQ(refusal(with("hidden_act", "gelu")),
            "config.json: hidden_act: gelu is not in this version");
  EXPECT_NE(refusal(with("quantization_config", Json{{"bits", 4}})).find("quantization_config"),
            std::string::npos);
  EXPECT_NE(refusal(with("num_experts", 8)).find("mixture of experts"), std::string::npos);
  EXPECT_EQ(refusal(with("rope_scaling", Json{{"type", "yarn"}, {"factor", 2}})),
            "config.json: RoPE kind 'yarn' (known: default, linear, llama3) is not in this "
            "version");
  EXPECT_NE(refusal(with("layer_types", {"full_attention", "sliding_attention"}, "qwen3"))
                .find("sliding_attention"),
            std::string::npos);
  EXPECT_NE(refusal(with("partial_rotary_factor", 0.5)).find("partial_rotary_factor"),
            std::string::npos);
}

TEST(HfConfigTest, SlidingWindowCountsOnlyWhenItIsUsed) {
  Json config = with("sliding_window", 4096, "qwen3");
  config["use_sliding_window"] = false;
  EXPECT_EQ(refusal(config), "no error");
  config["use_sliding_window"] = true;
  EXPECT_EQ(refusal(config), "no error");  // the first 28 layers see everything
  config["max_window_layers"] = 1;
  const std::string want =
      "config.json: use_sliding_window: true (a sliding window in use) is not in this version";
  EXPECT_EQ(refusal(config), want);
  config.erase("sliding_window");  // 4096
  EXPECT_EQ(refusal(config), want);
  config["sliding_window"] = nullptr;
  EXPECT_EQ(refusal(config), "no error");
  config["sliding_window"] = 16;
  config["model_type"] = "llama";  // has no such keys
  EXPECT_EQ(refusal(config), "no error");
}

TEST(HfConfigTest, AnEmptyRopeScalingIsNone) {
  Json config = with("rope_scaling", Json::object());
  config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 5000.0}};
  EXPECT_EQ(parse(config).rope_parameters.rope_type, "linear");
  EXPECT_EQ(parse(config).rope_parameters.rope_theta, 5000.0);
}

TEST(HfConfigTest, AbsentTokenIdsAreThoseOfTheFamily) {
  EXPECT_EQ(parse(small_config()).eos_token_ids, std::vector<std::int64_t>{2});
  EXPECT_EQ(parse(small_config()).bos_token_id, 1);
  EXPECT_TRUE(parse(with("eos_token_id", nullptr)).eos_token_ids.empty());
  EXPECT_TRUE(parse(small_config("qwen3")).eos_token_ids.empty());
}

TEST(HfConfigTest, RefusesMalformedFiles) {
  const auto of = [](const std::string& text) {
    return test::message_of([&] { parse_hf_config(text, "x/config.json"); });
  };
  EXPECT_EQ(of("{"), "x/config.json:1:2: got the end of the text, want a key in double quotes");
  EXPECT_EQ(of("{\n  \"hidden_size\": 32,\n}"),
            "x/config.json:3:1: got `}`, want a key in double quotes");
  EXPECT_EQ(of("[1]"), "x/config.json: got [1], want a JSON object, as transformers writes it");
  EXPECT_EQ(refusal(with("num_key_value_heads", 3)),
            "config.json: num_key_value_heads: got 3, want a divisor of num_attention_heads");
}

/// Every key that is read, with values of every other type: never taken, never another error.
TEST(HfConfigTest, EveryKeyHasAType) {
  const Json text = "4", real = 4.5, yes = true, list = Json::array({4}), null = nullptr;
  const Json negative = -4, huge = std::uint64_t{1} << 63, object = Json::object({{"a", 4}});
  const std::vector<Json> no_whole{text, real, yes, list, negative, huge, object, 1e300};
  const std::vector<Json> no_number{text, yes, list, object};
  const std::vector<Json> no_flag{text, real, list, object, 1, null};
  const std::vector<Json> no_text{real, yes, list, object, null};
  const std::vector<Json> no_id{text, real, yes, negative, huge, object, 1e300, "</s>", ""};
  const std::vector<Json> no_ids{Json{2, nullptr}, Json{Json{2}}, Json{"</s>"}, Json{-1},
                                 Json{2.0},        Json{true},    Json{huge}};
  const std::map<const char*, std::vector<Json>> wrong{
      {"model_type", no_text},
      {"hidden_act", no_text},
      {"attention_bias", no_flag},
      {"mlp_bias", no_flag},
      {"qkv_bias", no_flag},
      {"tie_word_embeddings", no_flag},
      {"hidden_size", no_whole},
      {"num_hidden_layers", no_whole},
      {"num_attention_heads", no_whole},
      {"intermediate_size", no_whole},
      {"vocab_size", no_whole},
      {"max_position_embeddings", no_whole},
      {"head_dim", no_whole},
      {"num_key_value_heads", no_whole},
      {"num_experts", no_whole},
      {"rms_norm_eps", no_number},
      {"initializer_range", no_number},
      {"rope_theta", no_number},
      {"partial_rotary_factor", no_number},
      {"layer_types", {text, real, yes, Json{4}, object}},
      {"rope_scaling", {text, real, yes, list}},
      {"rope_parameters", {text, real, yes, list}},
      {"bos_token_id", no_id},
      {"eos_token_id", no_id}};
  for (const auto& [key, values] : wrong) {
    for (const Json& value : values) {
      const Json config = with(key, value);
      try {
        parse(config);
        ADD_FAILURE() << key << ": " << value << " is taken";
      } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::kDataMalformed) << error.what();
        EXPECT_NE(std::string(error.what()).find(std::string("config.json: ") + key),
                  std::string::npos)
            << error.what();
      }
    }
  }
  for (const Json& ids : no_ids) {
    EXPECT_NE(refusal(with("eos_token_id", ids)).find("config.json: eos_token_id["),
              std::string::npos)
        << ids;
  }
  for (const Json& value : {Json(0), Json(0.0), Json(-1), null}) {
    EXPECT_NE(refusal(with("hidden_size", value)).find("hidden_size: got"), std::string::npos);
    EXPECT_NE(refusal(with("rms_norm_eps", value)).find("rms_norm_eps: got"), std::string::npos);
    EXPECT_NE(refusal(with("rope_theta", value)).find("rope_theta: got"), std::string::npos);
  }
  EXPECT_EQ(refusal(with("num_experts", 0)), "no error");  // no mixture
  EXPECT_EQ(refusal(with("eos_token_id", Json::array())), "no error");
}

TEST(HfConfigTest, EveryKeyOfRopeHasAType) {
  const auto rope = [](const char* key, const Json& value) {
    Json all{{"rope_type", "llama3"},
             {"factor", 8.0},
             {"low_freq_factor", 1.0},
             {"high_freq_factor", 4.0},
             {"original_max_position_embeddings", 64}};
    all[key] = value;
    return refusal(with("rope_scaling", all));
  };
  EXPECT_EQ(rope("factor", 8), "no error");
  EXPECT_EQ(rope("factor", "8"), "config.json: rope_scaling.factor: got \"8\", want a number");
  for (const char* key :
       {"rope_type", "factor", "low_freq_factor", "high_freq_factor", "rope_theta",
        "original_max_position_embeddings", "partial_rotary_factor"}) {
    for (const Json& value : {Json(true), Json::array(), Json::object()}) {
      EXPECT_NE(rope(key, value).find(std::string("rope_scaling.") + key + ": got"),
                std::string::npos)
          << rope(key, value);
    }
  }
  EXPECT_NE(rope("original_max_position_embeddings", 64.5).find("got 64.5"), std::string::npos);
  EXPECT_NE(rope("factor", 0.5).find("factor: got 0.5, want a number >= 1"), std::string::npos);
  EXPECT_NE(rope("high_freq_factor", 0.5).find("high_freq_factor: got 0.5"), std::string::npos);
}

}  // namespace
}  // namespace rw::model
