// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "kernels/matmul/matmul.h"
#include "kernels/reduce/reduce.h"
#include "kernels/rms_norm/rms_norm.h"
#include "model/generate.h"
#include "model/hf.h"
#include "model/tiny.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "store/posix.h"
#include "store/safetensors.h"

namespace rw::model {
namespace {

using core::Tensor;
using test::Numbers;

// As in scripts/make_golden.py.
constexpr std::int64_t kSteps = 20;
constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kTokens = 16;
constexpr std::size_t kPrompt = 4;
constexpr double kLr = 3e-3;

std::string golden(const std::string& name) {
  const char* source = std::getenv("ROPEWALK_SOURCE");
  return (std::filesystem::path(source != nullptr ? source : ".") / "tests/golden" / name).string();
}

class Golden : public ::testing::TestWithParam<const char*> {
 protected:
  Golden()
      : folder(golden(GetParam())),
        store(store::make_posix()),
        expected(*store, folder + "/expected.safetensors"),
        options(read_hf_config(folder)),
        params(make_params(options, {test::whole(options)})) {
    load_hf(folder, options, *params);
  }

  std::vector<std::byte> bytes(const std::string& name) const {
    const store::SafetensorsEntry* entry = expected.find(name);
    if (entry == nullptr) throw std::runtime_error("no " + name + " in the golden file");
    std::vector<std::byte> out(entry->end - entry->begin);
    expected.read(*entry, out);
    return out;
  }
  Numbers floats(const std::string& name) const {
    const std::vector<std::byte> raw = bytes(name);
    std::vector<float> out(raw.size() / sizeof(float));
    std::memcpy(out.data(), raw.data(), raw.size());
    return {out.begin(), out.end()};
  }
  std::vector<std::int32_t> ids(const std::string& name) const {
    const std::vector<std::byte> raw = bytes(name);
    std::vector<std::int32_t> out(raw.size() / sizeof(std::int32_t));
    std::memcpy(out.data(), raw.data(), raw.size());
    return out;
  }

  StageInput batch(std::int64_t step) const {
    const auto rows = [&](const char* name) {
      const std::vector<std::int32_t> all = ids(name);
      const auto first = all.begin() + step * kBatch * kTokens;
      return test::ints({first, first + kBatch * kTokens});
    };
    StageInput out;
    out.batch = kBatch;
    out.tokens = kTokens;
    out.token_ids = rows("tokens");
    out.targets = rows("targets");
    int real = 0;
    for (const float target : core::to_floats(out.targets)) real += target >= 0 ? 1 : 0;
    out.gradient_scale = 1.0F / static_cast<float>(real);
    return out;
  }

  double learn(Stage& stage, std::int64_t step) {
    std::unique_ptr<Saved> saved;
    params->zero_grad(stream);
    const StageOutput out = stage.forward(batch(step), &saved, stream);
    stage.backward(std::move(saved), {}, {}, stream);
    return out.loss_sum / static_cast<double>(out.loss_tokens);
  }

  std::string folder;
  std::unique_ptr<store::Store> store;
  store::SafetensorsFile expected;
  Options options;
  std::shared_ptr<Params> params;
  core::Stream stream;
};

TEST_P(Golden, LogitsWithin1e4) {
  Stage trunk(options, {0, options.num_hidden_layers, true, false}, params);
  const Tensor x = trunk.forward(batch(0), nullptr, stream).y;
  Tensor normed = Tensor::like(x);
  Tensor rstd = Tensor::empty({kBatch * kTokens});
  kernels::rms_norm_forward(x, params->find("model.norm.weight")->value,
                            static_cast<float>(options.rms_norm_eps), normed, rstd, stream);
  Tensor logits = Tensor::empty({kBatch * kTokens, options.vocab_size});
  kernels::MatmulOptions how;
  how.b = kernels::Transpose::kYes;
  const char* head = options.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  kernels::matmul(normed, params->find(head)->value, logits, how, stream);
  EXPECT_LT(test::relative_error(logits, floats("logits")), 1e-4);
}

TEST_P(Golden, GradientsOfEveryParameterWithin1e3) {
  Stage stage(options, test::whole(options), params);
  learn(stage, 0);
  std::size_t compared = 0;
  for (const Param& param : params->all) {
    EXPECT_LT(test::relative_error(param.grad, floats("grad." + param.spec.name)), 1e-3)
        << param.spec.name;
    ++compared;
  }
  std::size_t stored = 0;
  for (const auto& entry : expected.entries()) stored += entry.name.rfind("grad.", 0) == 0 ? 1 : 0;
  EXPECT_EQ(compared, stored);
}

TEST_P(Golden, LossesOver20AdamwStepsWithin1e4) {
  Stage stage(options, test::whole(options), params);
  std::vector<optim::AdamwParam> all;
  for (const Param& param : params->all) {
    all.push_back({param.spec.name, param.value, param.grad, param.spec.decays});
  }
  optim::Options how;
  how.beta1 = 0.9;
  how.beta2 = 0.95;
  how.eps = 1e-8;
  how.weight_decay = 0.1;
  optim::Adamw adamw(how, std::move(all));
  const Numbers losses = floats("losses");
  const Numbers norms = floats("norms");
  for (std::int64_t step = 0; step < kSteps; ++step) {
    const auto at = static_cast<std::size_t>(step);
    EXPECT_NEAR(learn(stage, step), losses[at], 1e-4 * losses[at]) << "step " << step;
    double squares = 0;
    for (const Param& param : params->all) squares += kernels::sum_of_squares(param.grad, stream);
    const double norm = std::sqrt(squares);
    EXPECT_NEAR(norm, norms[at], 1e-3 * norms[at]) << "step " << step;
    const std::vector<float> scales(adamw.size(),
                                    static_cast<float>(optim::clip_factor(norm, 1.0)));
    adamw.update(step + 1, kLr, scales, stream);
  }
}

TEST_P(Golden, GreedyTextIsTheSame) {
  const std::vector<std::int32_t> want = ids("greedy");
  std::vector<std::int32_t> prompt = ids("tokens");
  prompt.resize(kPrompt);
  GenerateOptions how;
  how.max_new_tokens = static_cast<std::int64_t>(want.size());
  EXPECT_EQ(generate(options, params, std::span(&prompt, 1), how)[0], want);
}

INSTANTIATE_TEST_SUITE_P(PyTorch, Golden,
                         ::testing::Values("llama_gqa_llama3", "llama_tied_linear", "qwen3_tied"),
                         [](const auto& shape) { return std::string(shape.param); });

}  // namespace
}  // namespace rw::model
