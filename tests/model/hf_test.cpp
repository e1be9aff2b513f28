// Part of Ropewalk, MIT licence.
#include "model/hf.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/json.h"
#include "model/tiny.h"

namespace rw::model {
namespace {

namespace fs = std::filesystem;
using core::Json;

/// A folder that goes with the test.
class HfFolder : public ::testing::Test {
 protected:
  HfFolder() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder = fs::path(::testing::TempDir()) / (std::string("ropewalk_hf_") + test->name());
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  ~HfFolder() override { fs::remove_all(folder); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder / name, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void export_model(const Options& options, const std::shared_ptr<Params>& params) const {
    export_hf(folder.string(), options,
              [&](const ParamSpec& spec) { return params->find(spec.name)->value; });
  }
  fs::path folder;
};

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
  EXPECT_EQ(test::message_of([] { parse_hf_config("{", "x/config.json"); }),
            "x/config.json: got no JSON object, want a config.json");
  EXPECT_EQ(refusal(with("hidden_size", "big")),
            "config.json: hidden_size: got \"big\", want a whole number from 1");
  EXPECT_EQ(refusal(with("num_key_value_heads", 3)),
            "config.json: num_key_value_heads: got 3, want a divisor of num_attention_heads");
  EXPECT_EQ(refusal(with("tie_word_embeddings", 1)),
            "config.json: tie_word_embeddings: got 1, want true or false");
}

TEST_F(HfFolder, MissingConfig) {
  EXPECT_NE(test::message_of([&] {
              read_hf_config(folder.string());
            }).find("no config.json there; want a Hugging Face model folder"),
            std::string::npos);
}

TEST_F(HfFolder, EndsOfTextComeFromTheGenerationConfig) {
  write("config.json", with("eos_token_id", 2).dump());
  write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  EXPECT_EQ(read_hf_config(folder.string()).eos_token_ids, (std::vector<std::int64_t>{3, 4}));
}

TEST_F(HfFolder, ExportedModelsComeBackToTheBit) {
  for (const char* family : {"llama", "qwen3"}) {
    for (const bool tied : {false, true}) {
      Options options = test::tiny(family, tied, tied ? "llama3" : "linear");
      options.eos_token_ids = {5};
      const auto params = test::random_params(options, {test::whole(options)});
      export_model(options, params);
      const Options back = read_hf_config(folder.string());
      EXPECT_EQ(back.name, options.name);
      EXPECT_EQ(back.head_dim, options.head_dim);
      EXPECT_EQ(back.tie_word_embeddings, tied);
      EXPECT_EQ(back.eos_token_ids, options.eos_token_ids);
      EXPECT_EQ(back.rope_parameters.rope_type, options.rope_parameters.rope_type);
      EXPECT_EQ(back.rope_parameters.rope_theta, options.rope_parameters.rope_theta);
      EXPECT_EQ(back.rope_parameters.factor, options.rope_parameters.factor);
      auto loaded = make_params(back, {test::whole(back)});
      load_hf(folder.string(), back, *loaded);
      for (const Param& param : params->all) {
        EXPECT_EQ(core::to_floats(loaded->find(param.spec.name)->value),
                  core::to_floats(param.value))
            << param.spec.name;
      }
    }
  }
}

TEST_F(HfFolder, EqualWeightsGiveEqualBytes) {
  const Options options = test::tiny("llama", false);
  const auto params = test::random_params(options, {test::whole(options)});
  export_model(options, params);
  const std::string first = read("model.safetensors") + read("config.json");
  export_model(options, params);
  EXPECT_EQ(read("model.safetensors") + read("config.json"), first);
}

TEST_F(HfFolder, AStageReadsItsOwnPartOnly) {
  const Options options = test::tiny("llama", false);
  const auto params = test::random_params(options, {test::whole(options)});
  export_model(options, params);
  auto part = make_params(options, {{1, 2, false, false}});
  load_hf(folder.string(), options, *part);
  const std::string name = "model.layers.1.self_attn.v_proj.weight";
  EXPECT_EQ(core::to_floats(part->find(name)->value), core::to_floats(params->find(name)->value));
}

TEST_F(HfFolder, NamesMissingExtraAndMisshapenTensors) {
  const Options options = test::tiny("llama", false);
  const auto params = test::random_params(options, {test::whole(options)});
  export_model(options, params);
  const auto check = [&](const Options& wanted) {
    return test::message_of([&] { check_hf_weights(folder.string(), wanted); });
  };
  EXPECT_EQ(check(options), "no error");
  Options other = options;
  other.num_hidden_layers = 4;
  EXPECT_NE(check(other).find("tensor model.layers.3.input_layernorm.weight is missing"),
            std::string::npos);
  other.num_hidden_layers = 2;
  EXPECT_NE(check(other).find("tensor model.layers.2."), std::string::npos);
  EXPECT_NE(check(other).find("is extra"), std::string::npos);
  other = options;
  other.vocab_size = 24;
  EXPECT_NE(check(other).find("tensor model.embed_tokens.weight: got [23, 12], config.json wants "
                              "[24, 12]"),
            std::string::npos);
}

TEST_F(HfFolder, ATiedModelMayCarryItsHeadTwice) {
  Options options = test::tiny("llama", false);
  const auto params = test::random_params(options, {test::whole(options)});
  export_model(options, params);
  options.tie_word_embeddings = true;
  EXPECT_EQ(test::message_of([&] { check_hf_weights(folder.string(), options); }), "no error");
  auto tied = make_params(options, {test::whole(options)});
  EXPECT_NE(test::message_of([&] {
              load_hf(folder.string(), options, *tied);
            }).find("lm_head.weight is another matrix than model.embed_tokens.weight"),
            std::string::npos);
  core::Stream stream;
  core::copy(params->find("model.embed_tokens.weight")->value,
             params->find("lm_head.weight")->value, stream);
  stream.sync();
  options.tie_word_embeddings = false;
  export_model(options, params);
  options.tie_word_embeddings = true;
  EXPECT_EQ(test::message_of([&] { load_hf(folder.string(), options, *tied); }), "no error");
}

TEST_F(HfFolder, TokenizerStandsBesideTheModel) {
  write_tokenizer(folder.string(),
                  R"({"added_tokens": [{"id": 4, "content": "<end>", "special": true}],)"
                  R"( "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})",
                  4);
  EXPECT_EQ(Json::parse(read("tokenizer.json")).at("model").at("type"), "BPE");
  EXPECT_EQ(Json::parse(read("tokenizer_config.json")).at("eos_token"), "<end>");
}

}  // namespace
}  // namespace rw::model
