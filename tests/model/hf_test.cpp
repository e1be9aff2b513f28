// Part of Ropewalk, MIT licence.
#include "model/hf.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "core/json.h"
#include "model/tiny.h"
#include "store/posix.h"
#include "store/safetensors.h"

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
  /// Writes the weights under other names.
  void rename(const std::shared_ptr<Params>& params,
              const std::function<std::string(const std::string&)>& other) const {
    const auto store = store::make_posix();
    std::vector<store::SafetensorsEntry> entries;
    for (const Param& one : params->all) {
      entries.push_back({other(one.spec.name), core::DType::kF32, one.spec.shape, 0, 0});
    }
    store::SafetensorsWriter writer(*store, (folder / "model.safetensors").string(), entries, {});
    for (const Param& one : params->all) writer.write(other(one.spec.name), one.value);
    writer.finish();
  }
  void expect_loads(const Options& options, const std::shared_ptr<Params>& want,
                    const std::string& prefix) const {
    auto loaded = make_params(options, {test::whole(options)});
    load_hf(folder.string(), options, *loaded, prefix);
    for (const Param& param : want->all) {
      EXPECT_EQ(core::to_floats(loaded->find(param.spec.name)->value), core::to_floats(param.value))
          << prefix << " " << param.spec.name;
    }
  }
  fs::path folder;
};

TEST_F(HfFolder, MissingConfig) {
  EXPECT_NE(test::message_of([&] {
              read_hf_config(folder.string());
            }).find("no config.json there; want a Hugging Face model folder"),
            std::string::npos);
}

TEST_F(HfFolder, EndsOfTextComeFromTheGenerationConfig) {
  write("config.json", R"({"model_type": "llama", "vocab_size": 100, "eos_token_id": 2})");
  write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  const auto ids = [&] { return read_hf_config(folder.string()).eos_token_ids; };
  EXPECT_EQ(ids(), (std::vector<std::int64_t>{3, 4}));
  write("generation_config.json", R"({"temperature": 1})");
  EXPECT_EQ(ids(), std::vector<std::int64_t>{2});
  write("generation_config.json", R"({"eos_token_id": null})");
  EXPECT_TRUE(ids().empty());
  for (const char* wrong : {R"(["</s>"])", "[2, null]", "[[2]]", "\"2\"", "2.0", "true", "-1",
                            "9223372036854775808", "{}"}) {
    write("generation_config.json", std::string(R"({"eos_token_id": )") + wrong + "}");
    const std::string message = test::message_of(ids);
    EXPECT_NE(message.find("generation_config.json: eos_token_id"), std::string::npos) << message;
  }
  write("generation_config.json", "{\"eos_token_id\": 2,\n\"a\" 1}");
  EXPECT_NE(test::message_of(ids).find("generation_config.json:2:5: got `1`"), std::string::npos);
}

TEST_F(HfFolder, ConfigsThatNestRepeatOrDoNotEnd) {
  const auto message = [&](const std::string& text) {
    write("config.json", text);
    return test::message_of([&] { read_hf_config(folder.string()); });
  };
  EXPECT_NE(message("{\"a\": " + std::string(100000, '[')).find("more than 128 deep"),
            std::string::npos);
  EXPECT_NE(message(R"({"model_type": "llama", "vocab_size": 8, "vocab_size": 9})")
                .find("config.json:1:42: got the key \"vocab_size\" a second time"),
            std::string::npos);
  EXPECT_NE(message(std::string(17 << 20, ' ')).find("bytes"), std::string::npos);
  fs::remove(folder / "config.json");
  fs::create_directory(folder / "config.json");
  EXPECT_NE(test::message_of([&] { read_hf_config(folder.string()); }).find("folder"),
            std::string::npos);
}

TEST_F(HfFolder, NamesWithoutTheTrunkAreRead) {
  const Options options = test::tiny("qwen3", true);
  const auto params = test::random_params(options, {test::whole(options)});
  rename(params,
         [](const std::string& name) { return name.substr(name.starts_with("model.") ? 6 : 0); });
  expect_loads(options, params, "");
}

TEST_F(HfFolder, PrefixesAreNamedAndStripped) {
  for (const bool tied : {false, true}) {
    const Options options = test::tiny("llama", tied);
    const auto params = test::random_params(options, {test::whole(options)});
    for (const std::string prefix :
         {"_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module.", "base.x."}) {
      rename(params, [&](const std::string& name) { return prefix + name; });
      const std::string message =
          test::message_of([&] { check_hf_weights(folder.string(), options); });
      EXPECT_NE(message.find("begin with `" + prefix + "`"), std::string::npos) << message;
      EXPECT_NE(message.find("--strip-prefix " + prefix + "`"), std::string::npos) << message;
      EXPECT_EQ(message.find("torch.compile") != std::string::npos,
                prefix.find("_orig_mod") != std::string::npos);
      expect_loads(options, params, prefix);
    }
    // Only the trunk was wrapped, and without its own name.
    rename(params, [](const std::string& name) {
      return name.starts_with("model.") ? "model._orig_mod." + name.substr(6) : name;
    });
    const std::string message =
        test::message_of([&] { check_hf_weights(folder.string(), options); });
    EXPECT_NE(message.find("--strip-prefix model._orig_mod.`"), std::string::npos) << message;
    expect_loads(options, params, "model._orig_mod.");
  }
}

TEST_F(HfFolder, APrefixThatNothingHasIsRefused) {
  const Options options = test::tiny("llama", false);
  const auto params = test::random_params(options, {test::whole(options)});
  export_model(options, params);
  EXPECT_NE(test::message_of([&] {
              check_hf_weights(folder.string(), options, "module.");
            }).find("--strip-prefix: got module., but no tensor of "),
            std::string::npos);
  rename(params, [](const std::string& name) {
    return name == "model.norm.weight" ? "a.lm_head.weight" : name;
  });
  EXPECT_NE(test::message_of([&] {
              check_hf_weights(folder.string(), options, "a.");
            }).find("which are one name without the prefix a."),
            std::string::npos);
}

TEST_F(HfFolder, MoreLayersThanTensorsAreRefusedAtOnce) {
  Options options = test::tiny("llama", false);
  export_model(options, test::random_params(options, {test::whole(options)}));
  options.num_hidden_layers = std::int64_t{1} << 30;
  EXPECT_NE(test::message_of([&] {
              check_hf_weights(folder.string(), options);
            }).find("num_hidden_layers: got 1073741824 in config.json, want no more than"),
            std::string::npos);
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
