// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include <functional>

#include "model/tiny.h"

namespace rw::model {
namespace {

using core::Tensor;
using test::Batch;
using test::Numbers;

struct Case {
  const char* name;
  const char* family;
  bool tied;
  const char* rope;
};

void set_numbers(Tensor& tensor, const Numbers& values) {
  const std::vector<float> narrow(values.begin(), values.end());
  core::copy_from_host(narrow.data(), narrow.size() * sizeof(float), tensor);
}

/// A random direction of length 1.
Numbers direction(const core::Shape& shape, std::uint64_t seed) {
  Numbers out = test::numbers(test::random(shape, seed));
  const double length = std::sqrt(test::dot(out, out));
  for (double& number : out) number /= length;
  return out;
}

/// d loss / d step along `along` from where the tensor stands, by the five-point formula.
double slope(Tensor& tensor, const Numbers& along, const std::function<double()>& loss) {
  constexpr double kStep = 0.003;
  const Numbers start = test::numbers(tensor);
  const auto at = [&](double step) {
    Numbers moved = start;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += step * along[i];
    set_numbers(tensor, moved);
    const double out = loss();
    set_numbers(tensor, start);
    return out;
  };
  return (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
}

/// Truncation grows with the gradient; the rest is what f32 losses of about 5 leave of a difference.
double allowed(double length) { return 3e-3 * length + 3e-4; }

class StageGradient : public ::testing::TestWithParam<Case> {
 protected:
  Options options() const {
    return test::tiny(GetParam().family, GetParam().tied, GetParam().rope);
  }
};

TEST_P(StageGradient, EveryParameterIsTheFiniteDifference) {
  const Options model = options();
  Stage stage(model, test::whole(model), test::random_params(model, {test::whole(model)}));
  const Batch batch(model, 2, 5, 3);
  test::learn_from(stage, batch);
  std::uint64_t seed = 100;
  for (Param& param : stage.params().all) {
    const Numbers grad = test::numbers(param.grad);
    const double length = std::sqrt(test::dot(grad, grad));
    ASSERT_GT(length, 1e-4) << param.spec.name << " does not reach the loss";
    Numbers steepest = grad;
    for (double& number : steepest) number /= length;
    for (const Numbers& along : {direction(param.spec.shape, ++seed), steepest}) {
      const double measured =
          slope(param.value, along, [&] { return test::mean_loss(stage, batch); });
      EXPECT_NEAR(measured, test::dot(grad, along), allowed(length)) << param.spec.name;
    }
  }
}

TEST_P(StageGradient, InputGradientIsTheFiniteDifference) {
  const Options model = options();
  const StageRange range{1, 3, false, true};
  Stage stage(model, range, test::random_params(model, {range}));
  const Batch batch(model, 2, 5, 3);
  StageInput input = batch.input();
  input.token_ids = {};
  input.x = test::random({10, model.hidden_size}, 5);
  core::Stream stream;
  std::unique_ptr<Saved> saved;
  stage.forward(input, &saved, stream);
  const Tensor dx = stage.backward(std::move(saved), {}, {}, stream);
  const auto loss = [&] {
    return stage.forward(input, nullptr, stream).loss_sum / static_cast<double>(batch.real);
  };
  const Numbers grad = test::numbers(dx);
  const double length = std::sqrt(test::dot(grad, grad));
  ASSERT_GT(length, 1e-4);
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Numbers along = direction(input.x.shape(), seed);
    EXPECT_NEAR(slope(input.x, along, loss), test::dot(grad, along), allowed(length));
  }
}

TEST_P(StageGradient, BothWaysBackGiveTheSameBits) {
  const Options model = options();
  const StageRange range{0, 2, false, false};
  const Tensor x = test::random({10, model.hidden_size}, 5);
  const Tensor dy = test::random({10, model.hidden_size}, 6);
  StageInput input;
  input.batch = 2;
  input.tokens = 5;
  input.x = x;
  core::Stream stream;
  Stage once(model, range, test::random_params(model, {range}));
  Stage split(model, range, test::random_params(model, {range}));
  std::unique_ptr<Saved> saved;
  once.forward(input, &saved, stream);
  const Tensor dx = once.backward(std::move(saved), dy, {}, stream);
  split.forward(input, &saved, stream);
  const Tensor dx_split = split.backward_input(*saved, dy, stream);
  for (const auto& [name, numbers] : test::gradients(split.params())) {
    EXPECT_EQ(numbers, std::vector<float>(numbers.size(), 0.0F)) << name << " changed too early";
  }
  split.backward_weight(std::move(saved), {}, stream);
  EXPECT_EQ(core::to_floats(dx), core::to_floats(dx_split));
  EXPECT_EQ(test::gradients(once.params()), test::gradients(split.params()));
}

TEST_P(StageGradient, BothWaysBackGiveTheSameBitsForTheWholeModel) {
  const Options model = options();
  const Batch batch(model, 2, 5, 3);
  core::Stream stream;
  Stage once(model, test::whole(model), test::random_params(model, {test::whole(model)}));
  Stage split(model, test::whole(model), test::random_params(model, {test::whole(model)}));
  test::learn_from(once, batch);
  std::unique_ptr<Saved> saved;
  split.forward(batch.input(), &saved, stream);
  EXPECT_FALSE(split.backward_input(*saved, {}, stream).defined());
  split.backward_weight(std::move(saved), {}, stream);
  EXPECT_EQ(test::gradients(once.params()), test::gradients(split.params()));
}

TEST_P(StageGradient, TwoStagesEqualOne) {
  const Options model = options();
  const Batch batch(model, 2, 5, 3);
  core::Stream stream;
  Stage one(model, test::whole(model), test::random_params(model, {test::whole(model)}));
  const double want = test::learn_from(one, batch);

  const StageRange front{0, 1, true, false};
  const StageRange back{1, 3, false, true};
  Stage first(model, front, test::random_params(model, {front}));
  Stage second(model, back, test::random_params(model, {back}));
  std::unique_ptr<Saved> saved_first;
  std::unique_ptr<Saved> saved_second;
  StageInput input = batch.input();
  const Tensor y = first.forward(input, &saved_first, stream).y;
  input.token_ids = {};
  input.x = y;
  const StageOutput out = second.forward(input, &saved_second, stream);
  const Tensor dy = second.backward(std::move(saved_second), {}, {}, stream);
  first.backward(std::move(saved_first), dy, {}, stream);

  EXPECT_NEAR(out.loss_sum / static_cast<double>(batch.real), want, 1e-6);
  for (const Param& param : one.params().all) {
    Numbers got(static_cast<std::size_t>(param.grad.elems()), 0.0);
    int holders = 0;
    for (Stage* stage : {&first, &second}) {
      const Param* part = stage->params().find(param.spec.name);
      if (part == nullptr) continue;
      ++holders;
      const Numbers numbers = test::numbers(part->grad);
      for (std::size_t i = 0; i < got.size(); ++i) got[i] += numbers[i];
    }
    const bool shared = model.tie_word_embeddings && param.spec.name == "model.embed_tokens.weight";
    EXPECT_EQ(holders, shared ? 2 : 1) << param.spec.name;
    EXPECT_LT(test::relative_error(got, test::numbers(param.grad)), 1e-5) << param.spec.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StageGradient,
                         ::testing::Values(Case{"LlamaUntied", "llama", false, "default"},
                                           Case{"LlamaTied", "llama", true, "linear"},
                                           Case{"LlamaRope3", "llama", false, "llama3"},
                                           Case{"Qwen3Untied", "qwen3", false, "linear"},
                                           Case{"Qwen3Tied", "qwen3", true, "default"}),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace rw::model
