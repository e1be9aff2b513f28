// Part of Ropewalk, MIT licence.
#include "model/params.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "model/tiny.h"

namespace rw::model {
namespace {

using core::Shape;

std::vector<std::string> names(const std::vector<ParamSpec>& table) {
  std::vector<std::string> out;
  out.reserve(table.size());
  for (const ParamSpec& spec : table) out.push_back(spec.name + " " + spec.shape.text());
  return out;
}

TEST(ParamTableTest, LlamaInOrderOfUse) {
  Options model = test::tiny("llama", false);
  model.num_hidden_layers = 1;
  EXPECT_EQ(names(param_table(model)),
            (std::vector<std::string>{"model.embed_tokens.weight [23, 12]",
                                      "model.layers.0.input_layernorm.weight [12]",
                                      "model.layers.0.self_attn.q_proj.weight [24, 12]",
                                      "model.layers.0.self_attn.k_proj.weight [12, 12]",
                                      "model.layers.0.self_attn.v_proj.weight [12, 12]",
                                      "model.layers.0.self_attn.o_proj.weight [12, 24]",
                                      "model.layers.0.post_attention_layernorm.weight [12]",
                                      "model.layers.0.mlp.gate_proj.weight [20, 12]",
                                      "model.layers.0.mlp.up_proj.weight [20, 12]",
                                      "model.layers.0.mlp.down_proj.weight [12, 20]",
                                      "model.norm.weight [12]", "lm_head.weight [23, 12]"}));
}

TEST(ParamTableTest, Qwen3HasNormsOfQueriesAndKeysAndATiedModelHasNoHead) {
  Options model = test::tiny("qwen3", true);
  const std::vector<std::string> got = names(param_table(model));
  EXPECT_EQ(got.size(), 2U + 3 * 11);
  EXPECT_EQ(got[5], "model.layers.0.self_attn.q_norm.weight [6]");
  EXPECT_EQ(got[6], "model.layers.0.self_attn.k_norm.weight [6]");
  EXPECT_EQ(got.back(), "model.norm.weight [12]");
}

TEST(ParamTableTest, OnlyMatricesDecayAndOnlyNormsStartAtOne) {
  for (const ParamSpec& spec : param_table(test::tiny("qwen3", false))) {
    EXPECT_EQ(spec.decays, spec.shape.rank() >= 2) << spec.name;
    EXPECT_EQ(spec.ones, spec.shape.rank() == 1) << spec.name;
  }
}

TEST(ParamsTest, ProjectionsAreRowsOfOneMatrix) {
  const Options model = test::tiny("llama", false);
  const auto params = test::random_params(model, {test::whole(model)});
  const std::string at = "model.layers.1.";
  const Weight& qkv = params->weight(at + "self_attn.qkv_proj.weight");
  EXPECT_EQ(qkv.value.shape(), (Shape{48, 12}));
  const auto rows = [&](std::int64_t begin, std::int64_t end) {
    return core::to_floats(qkv.value.rows(begin, end));
  };
  EXPECT_EQ(core::to_floats(params->find(at + "self_attn.q_proj.weight")->value), rows(0, 24));
  EXPECT_EQ(core::to_floats(params->find(at + "self_attn.k_proj.weight")->value), rows(24, 36));
  EXPECT_EQ(core::to_floats(params->find(at + "self_attn.v_proj.weight")->value), rows(36, 48));
  const Weight& gate_up = params->weight(at + "mlp.gate_up_proj.weight");
  EXPECT_EQ(core::to_floats(params->find(at + "mlp.up_proj.weight")->value),
            core::to_floats(gate_up.value.rows(20, 40)));
}

TEST(ParamsTest, TwoBucketsPerLayerBetweenThoseOfTheEnds) {
  const Options model = test::tiny("llama", false);
  const auto params = make_params(model, {test::whole(model)});
  EXPECT_EQ(params->buckets, 8);
  EXPECT_EQ(params->bucket_grads.size(), 8U);
  EXPECT_EQ(params->find("model.embed_tokens.weight")->bucket, 0);
  EXPECT_EQ(params->find("model.layers.0.self_attn.o_proj.weight")->bucket, 1);
  EXPECT_EQ(params->find("model.layers.0.post_attention_layernorm.weight")->bucket, 2);
  EXPECT_EQ(params->find("model.layers.0.mlp.down_proj.weight")->bucket, 2);
  EXPECT_EQ(params->find("model.layers.2.self_attn.q_proj.weight")->bucket, 5);
  EXPECT_EQ(params->find("model.norm.weight")->bucket, 7);
  EXPECT_EQ(params->find("lm_head.weight")->bucket, 7);
}

TEST(ParamsTest, BucketsHoldAllGradientsEachOnACacheLine) {
  const Options model = test::tiny("qwen3", true);
  const auto params = make_params(model, {test::whole(model)});
  core::Stream stream;
  for (core::Tensor& grads : params->bucket_grads) {
    const std::vector<float> ones(static_cast<std::size_t>(grads.elems()), 1.0F);
    core::copy_from_host(ones.data(), ones.size() * sizeof(float), grads);
  }
  for (const Weight& weight : params->weights) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(weight.grad.address()) % 64, 0U) << weight.name;
  }
  for (const auto& [name, numbers] : test::gradients(*params)) {
    EXPECT_EQ(numbers, std::vector<float>(numbers.size(), 1.0F)) << name;
  }
  params->zero_grad(stream);
  for (const auto& [name, numbers] : test::gradients(*params)) {
    EXPECT_EQ(numbers, std::vector<float>(numbers.size(), 0.0F)) << name;
  }
}

/// Whatever the memory held before: what is in no matrix is 0, and who comes second adds.
TEST(ParamsTest, AGradientMayBeHeldForWhoWritesItsMatrices) {
  const Options model = test::tiny("qwen3", false);
  const auto params = make_params(model, {test::whole(model)});
  core::Stream stream;
  for (core::Tensor& grads : params->bucket_grads) {
    std::fill_n(grads.data<float>(), grads.elems(), 7.0F);
  }
  params->drop_grad();
  for (const char* name : {"self_attn.o_proj.weight", "mlp.down_proj.weight"}) {
    const int half = params->weight(std::string("model.layers.0.") + name).bucket;
    EXPECT_TRUE(params->hold_grad_beside_matrices(half, stream));
    EXPECT_FALSE(params->hold_grad_beside_matrices(half, stream));
    core::Tensor& grads = params->bucket_grads[static_cast<std::size_t>(half)];
    for (Weight& weight : params->weights) {
      if (weight.bucket != half || weight.value.shape().rank() < 2) continue;
      std::fill_n(weight.grad.data<float>(), weight.grad.elems(), 0.0F);
    }
    for (std::int64_t i = 0; i < grads.elems(); ++i) {
      EXPECT_EQ(grads.data<float>()[i], 0.0F) << name << " " << i;
    }
  }
}

TEST(ParamsTest, ATiedEmbeddingIsOnBothEndsOfTheModel) {
  const Options model = test::tiny("llama", true);
  const auto back = make_params(model, {{2, 3, false, true}});
  ASSERT_NE(back->find("model.embed_tokens.weight"), nullptr);
  EXPECT_EQ(back->find("model.embed_tokens.weight")->bucket, 2);
  EXPECT_EQ(back->find("model.norm.weight")->bucket, 2);
  EXPECT_EQ(back->find("lm_head.weight"), nullptr);
  const auto both = make_params(model, {{0, 1, true, false}, {2, 3, false, true}});
  int embeddings = 0;
  for (const Param& param : both->all) {
    embeddings += param.spec.name == "model.embed_tokens.weight" ? 1 : 0;
  }
  EXPECT_EQ(embeddings, 1);
}

TEST(ParamsTest, StartIsAFunctionOfSeedAndNameAlone) {
  const Options model = test::tiny("llama", false);
  auto all = make_params(model, {test::whole(model)});
  auto part = make_params(model, {{1, 2, false, false}});
  all->initialise(model, 42);
  part->initialise(model, 42);
  EXPECT_EQ(part->all.size(), 9U);
  for (const Param& param : part->all) {
    EXPECT_EQ(core::to_floats(param.value), core::to_floats(all->find(param.spec.name)->value));
  }
  auto other = make_params(model, {{1, 2, false, false}});
  other->initialise(model, 43);
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  EXPECT_NE(core::to_floats(other->find(name)->value), core::to_floats(part->find(name)->value));
  EXPECT_EQ(core::to_floats(part->find("model.layers.1.input_layernorm.weight")->value),
            std::vector<float>(12, 1.0F));
}

TEST(ParamsTest, StartHasTheStandardDeviationThatWasAskedFor) {
  Options model = test::tiny("llama", false);
  model.initializer_range = 0.02;
  model.vocab_size = 2000;
  auto params = make_params(model, {{0, 0, true, false}});
  params->initialise(model, 1);
  const test::Numbers numbers = test::numbers(params->all[0].value);
  const double variance = test::dot(numbers, numbers) / static_cast<double>(numbers.size());
  EXPECT_NEAR(std::sqrt(variance), 0.02, 0.0005);
}

TEST(ParamsTest, CountsElements) {
  const Options model = test::tiny("llama", false);
  std::int64_t want = 0;
  for (const ParamSpec& spec : param_table(model)) want += spec.shape.elems();
  EXPECT_EQ(make_params(model, {test::whole(model)})->elems(), want);
}

TEST(ParamsTest, NamesAWeightThatIsNotHere) {
  const Options model = test::tiny("llama", false);
  const auto params = make_params(model, {{0, 1, true, false}});
  EXPECT_EQ(params->find("model.norm.weight"), nullptr);
  EXPECT_EQ(test::message_of([&] { params->weight("model.norm.weight"); }),
            "Params::weight: got model.norm.weight, want a weight that this rank holds");
}

}  // namespace
}  // namespace rw::model
