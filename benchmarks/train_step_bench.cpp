// Part of Ropewalk, MIT licence.
// One training step of the 34 M-parameter LLaMA (hidden 512, 8 layers, 8 heads, intermediate 1408,
// vocabulary 8192) on 8 rows of 256 tokens without the run around it: forward, backward and AdamW.
// Threads: OMP_NUM_THREADS.
#include <benchmark/benchmark.h>

#include "kernels/register.h"
#include "limits.h"
#include "model/flops.h"
#include "model/resolve.h"
#include "model/stage.h"
#include "optim/adamw.h"

namespace rw::bench {
namespace {

constexpr std::int64_t kBatch = 8;
constexpr std::int64_t kTokens = 256;

struct Training {
  Training() {
    options.hidden_size = 512;
    options.num_hidden_layers = 8;
    options.num_attention_heads = 8;
    options.intermediate_size = 1408;
    options.vocab_size = 8192;
    model::resolve(options, kTokens);
    const model::StageRange all{0, options.num_hidden_layers, true, true};
    params = model::make_params(options, {all});
    params->initialise(options, 1);
    stage = std::make_unique<model::Stage>(options, all, params);
    std::vector<optim::AdamwParam> states;
    for (const model::Param& param : params->all) {
      states.push_back({param.spec.name, param.value, param.grad, param.spec.decays});
    }
    scales.assign(states.size(), 1.0F);
    adamw = std::make_unique<optim::Adamw>(optim::Options{}, std::move(states));
    std::vector<std::int32_t> ids;
    for (std::int32_t i = 0; i < kBatch * kTokens; ++i) ids.push_back(i * 31 % 8192);
    input.batch = kBatch;
    input.tokens = kTokens;
    input.token_ids = Tensor::of_ints({kBatch * kTokens}, ids);
    input.targets = input.token_ids;
    input.gradient_scale = 1.0F / static_cast<float>(kBatch * kTokens);
  }
  void forward_backward() {
    params->zero_grad(stream);
    std::unique_ptr<model::Saved> saved;
    stage->forward(input, &saved, stream);
    stage->backward(std::move(saved), {}, {}, stream);
  }
  void update() { adamw->update(++step, 1e-4, scales, stream); }

  model::Options options;
  std::shared_ptr<model::Params> params;
  std::unique_ptr<model::Stage> stage;
  std::unique_ptr<optim::Adamw> adamw;
  std::vector<float> scales;
  model::StageInput input;
  Stream stream;
  std::int64_t step = 0;
};

void train_step(benchmark::State& state) {
  Training training;
  training.forward_backward();
  training.update();
  for (auto _ : state) {
    training.forward_backward();
    training.update();
  }
  const auto tokens = static_cast<double>(kBatch * kTokens);
  state.counters["tokens/s"] =
      benchmark::Counter(tokens, benchmark::Counter::kIsIterationInvariantRate);
  report_flops(state, tokens * model::flops_per_token(training.options, kTokens));
}
BENCHMARK(train_step)->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(5);

void update_alone(benchmark::State& state) {
  Training training;
  training.forward_backward();
  for (auto _ : state) training.update();
  report_bytes(state, 7.0 * 4 * static_cast<double>(training.params->elems()));
}
BENCHMARK(update_alone)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rw::bench

int main(int argc, char** argv) {
  rw::kernels::register_cpu();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
