// Part of Ropewalk, MIT licence.
// Decoding and evaluation against their limits, for two LLaMA models with random weights:
//   decode_bench [--rounds N] [--models 34M,124M] [--json FILE]
// Each figure is the median over rounds in which everything is measured in turns, so that a busy
// machine disturbs all of it alike. Threads: OMP_NUM_THREADS.
//   bandwidth_share  (bytes of the weights / read bandwidth) / time of a step
//   gemm_share       time of the step's products alone (narrow_matmul or matmul, whichever is the faster) /
//                    time of a step
//   cache_share      (that time + bytes of keys and values / read bandwidth) / time of a step: what is left
//                    to win when nothing overlaps
// Every round decodes kSteps tokens after a prompt of `context` tokens.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "kernels/matmul/matmul.h"
#include "kernels/narrow_matmul/narrow_matmul.h"
#include "kernels/register.h"
#include "kernels/row_math.h"
#include "kernels/threads.h"
#include "model/decoder.h"
#include "model/evaluate.h"
#include "model/resolve.h"
#include "model/sample.h"
#include "model/stage.h"

namespace rw::bench {
namespace {

using core::DType;
using core::Json;
using core::Tensor;

constexpr std::int64_t kSteps = 24;  // of decoding, each round
constexpr std::pair<std::int64_t, std::int64_t> kCases[] = {{1, 64}, {16, 16}, {16, 64}, {16, 256}};
constexpr std::int64_t kSeqLen = 256;  // of evaluation, 8 rows a pass

double seconds(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  call();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Memory that no cache holds, and how fast all threads together read it.
class Reading {
 public:
  double bytes_per_s() const {
    float most = 0;
    const double time = seconds([&] {
#pragma omp parallel reduction(max : most)
      {
        const std::int64_t threads = omp_get_num_threads();
        const std::int64_t begin = kElems * omp_get_thread_num() / threads;
        const std::int64_t end = kElems * (omp_get_thread_num() + 1) / threads;
        most = kernels::row_max(numbers_.data<float>() + begin, end - begin);
      }
    });
    if (most != 0) std::abort();
    return 4.0 * static_cast<double>(kElems) / time;
  }

 private:
  static constexpr std::int64_t kElems = std::int64_t{1} << 26;  // 256 MiB, where weights lie too
  Tensor numbers_ = Tensor::zeros({kElems});
};

struct Subject {
  std::string name;
  model::Options options;
  std::shared_ptr<model::Params> params;
};

Subject make_subject(const std::string& name) {
  Subject out;
  out.name = name;
  const bool small = name == "34M";
  out.options.hidden_size = small ? 512 : 768;
  out.options.num_hidden_layers = small ? 8 : 12;
  out.options.num_attention_heads = small ? 8 : 12;
  out.options.num_key_value_heads = small ? 8 : 4;
  out.options.intermediate_size = small ? 1408 : 2048;
  out.options.vocab_size = small ? 8192 : 32000;
  model::resolve(out.options, kSeqLen);
  out.params = model::make_params(out.options, {{0, out.options.num_hidden_layers, true, true}});
  out.params->initialise(out.options, 1);
  return out;
}

/// The matrices that one step reads, in the model's order.
std::vector<Tensor> matrices(const Subject& subject, DType dtype) {
  std::vector<Tensor> out;
  for (const model::Weight& weight : subject.params->weights) {
    if (weight.value.shape().rank() < 2) continue;
    if (weight.name == "model.embed_tokens.weight") continue;  // one row of it a token
    out.push_back(dtype == DType::kF32
                      ? weight.value
                      : Tensor::of(weight.value.shape(), core::to_floats(weight.value), dtype));
  }
  return out;
}

/// The products of one step, for `rows` sequences.
class Products {
 public:
  Products(std::vector<Tensor> weights, std::int64_t rows) : weights_(std::move(weights)) {
    for (const Tensor& w : weights_) {
      in_.push_back(Tensor::zeros({rows, w.shape()[1]}));
      out_.push_back(Tensor::empty({rows, w.shape()[0]}));
    }
  }
  void ours() {
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      kernels::narrow_matmul(in_[i], weights_[i], out_[i], stream_);
    }
  }
  void matmul() {
    kernels::MatmulOptions how;
    how.b = kernels::Transpose::kYes;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      kernels::matmul(in_[i], weights_[i], out_[i], how, stream_);
    }
  }
  std::int64_t bytes() const {
    std::size_t sum = 0;
    for (const Tensor& w : weights_) sum += w.bytes();
    return static_cast<std::int64_t>(sum);
  }

 private:
  std::vector<Tensor> weights_, in_, out_;
  core::Stream stream_;
};

/// What is decoded: so many sequences, each with so many tokens before the first new one.
struct Case {
  DType dtype = DType::kF32;
  std::int64_t batch = 1;
  std::int64_t context = 64;
};

/// Greedy decoding.
class Decoding {
 public:
  Decoding(const Subject& subject, const Case& what)
      : decoder_(subject.options, *subject.params,
                 {.sequences = what.batch,
                  .max_tokens = what.context + kSteps + 1,
                  .weights = what.dtype,
                  .cache = what.dtype}),
        sampler_({}),
        prompt_(static_cast<std::size_t>(what.context)),
        ids_(static_cast<std::size_t>(what.batch)) {
    std::iota(prompt_.begin(), prompt_.end(), 5);
  }
  /// Every sequence back to its prompt and one token.
  void restart() {
    pieces_.clear();
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      decoder_.forget(static_cast<std::int64_t>(i));
      pieces_.push_back({static_cast<std::int64_t>(i), prompt_});
    }
    step();
  }
  void step() {
    const Tensor logits = decoder_.feed(pieces_);
    host_.resize(static_cast<std::size_t>(logits.elems()));
    core::copy_to_host(logits, host_.data(), logits.bytes());
    const auto vocab = static_cast<std::size_t>(logits.shape()[1]);
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      ids_[i] = sampler_.pick(std::span(host_).subspan(i * vocab, vocab), 0);
      pieces_[i].ids = std::span(ids_).subspan(i, 1);
    }
  }

 private:
  model::Decoder decoder_;
  model::Sampler sampler_;
  std::vector<std::int32_t> prompt_, ids_;
  std::vector<model::Piece> pieces_;
  std::vector<float> host_;
};

/// Bytes of keys and values that the mean step of a round reads.
std::int64_t cache_bytes(const Subject& subject, const Case& what) {
  const model::Options& by = subject.options;
  return what.batch * (what.context + kSteps / 2) * by.num_hidden_layers * 2 *
         by.num_key_value_heads * by.head_dim *
         static_cast<std::int64_t>(core::dtype_bytes(what.dtype));
}

Json decode_figures(const Subject& subject, const Case& what, int rounds, const Reading& reading) {
  Products products(matrices(subject, what.dtype), what.batch);
  Decoding decoding(subject, what);
  std::map<std::string, std::vector<double>> seen;
  products.ours();
  for (int round = 0; round < rounds; ++round) {
    decoding.restart();
    seen["read"].push_back(reading.bytes_per_s());
    seen["ours"].push_back(seconds([&] { products.ours(); }));
    if (what.dtype == DType::kF32) {
      seen["matmul"].push_back(seconds([&] { products.matmul(); }));
    }
    std::vector<double> steps;
    for (std::int64_t i = 0; i < kSteps; ++i) {
      steps.push_back(seconds([&] { decoding.step(); }));
      if (i % 4 == 0) seen["ours"].push_back(seconds([&] { products.ours(); }));
    }
    seen["step"].push_back(median(steps));
  }
  const double step = median(seen["step"]);
  double gemms = median(seen["ours"]);
  Json out;
  out["model"] = subject.name;
  out["precision"] = core::dtype_name(what.dtype);
  out["batch"] = what.batch;
  out["context"] = what.context;
  out["tokens_per_s"] = static_cast<double>(what.batch) / step;
  out["step_ms"] = 1e3 * step;
  out["gemms_ms"] = 1e3 * gemms;
  if (what.dtype == DType::kF32) {
    out["matmul_gemms_ms"] = 1e3 * median(seen["matmul"]);
    gemms = std::min(gemms, median(seen["matmul"]));
  }
  const double read = median(seen["read"]);
  out["weight_bytes"] = products.bytes();
  out["cache_bytes"] = cache_bytes(subject, what);
  out["read_gb_per_s"] = 1e-9 * read;
  out["bandwidth_share"] = static_cast<double>(products.bytes()) / read / step;
  out["gemm_share"] = gemms / step;
  out["cache_share"] = (gemms + static_cast<double>(cache_bytes(subject, what)) / read) / step;
  return out;
}

/// eval against the forward pass of a training step, tokens/s each.
Json eval_figures(const Subject& subject, int rounds) {
  constexpr std::int64_t kRows = 8;
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i <= kRows * kSeqLen; ++i) ids.push_back(i * 31 % 8192);
  model::Stage stage(subject.options, {0, subject.options.num_hidden_layers, true, true},
                     subject.params);
  model::StageInput input;
  input.batch = kRows;
  input.tokens = kSeqLen;
  input.token_ids = Tensor::of_ints({kRows * kSeqLen}, std::span(ids).first(ids.size() - 1));
  input.targets = Tensor::of_ints({kRows * kSeqLen}, std::span(ids).last(ids.size() - 1));
  input.gradient_scale = 1.0F / static_cast<float>(kRows * kSeqLen);
  core::Stream stream;
  const auto training = [&] {
    std::unique_ptr<model::Saved> saved;
    stage.forward(input, &saved, stream);
  };
  const auto evaluation = [&] { model::evaluate(subject.options, subject.params, ids, kSeqLen); };
  training();
  evaluation();
  std::vector<double> forward;
  std::vector<double> eval;
  for (int round = 0; round < rounds; ++round) {
    forward.push_back(seconds(training));
    eval.push_back(seconds(evaluation));
  }
  Json out;
  out["model"] = subject.name;
  out["training_forward_tokens_per_s"] = static_cast<double>(kRows * kSeqLen) / median(forward);
  out["eval_tokens_per_s"] = static_cast<double>(kRows * kSeqLen) / median(eval);
  out["eval_over_training_forward"] = median(forward) / median(eval);
  return out;
}

void print_decode(const Json& figures) {
  std::printf(
      "%-5s %-4s batch %2d after %3d  %7.1f tokens/s  %5.2f of the read bandwidth (%.1f GB/s)  "
      "%5.2f of its GEMMs alone, %5.2f with its cache\n",
      figures["model"].get<std::string>().c_str(), figures["precision"].get<std::string>().c_str(),
      figures["batch"].get<int>(), figures["context"].get<int>(),
      figures["tokens_per_s"].get<double>(), figures["bandwidth_share"].get<double>(),
      figures["read_gb_per_s"].get<double>(), figures["gemm_share"].get<double>(),
      figures["cache_share"].get<double>());
  std::fflush(stdout);
}

void print_eval(const Json& figures) {
  std::printf("%-5s eval %8.1f tokens/s, training forward %8.1f: ratio %.2f\n",
              figures["model"].get<std::string>().c_str(),
              figures["eval_tokens_per_s"].get<double>(),
              figures["training_forward_tokens_per_s"].get<double>(),
              figures["eval_over_training_forward"].get<double>());
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  CLI::App app("decoding and evaluation against their limits");
  int rounds = 5;
  std::vector<std::string> models{"34M", "124M"};
  std::string path;
  app.add_option("--rounds", rounds, "median over this many")->check(CLI::PositiveNumber);
  app.add_option("--models", models)->delimiter(',')->check(CLI::IsMember({"34M", "124M"}));
  app.add_option("--json", path, "file to write");
  CLI11_PARSE(app, argc, argv);
  kernels::register_cpu();
  const Reading reading;
  Json out;
  out["command"] = "decode_bench --rounds " + std::to_string(rounds);
  out["threads"] = kernels::threads();
  for (const std::string& name : models) {
    const Subject subject = make_subject(name);
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (const auto& [batch, context] : kCases) {
        out["decode"].push_back(decode_figures(subject, {dtype, batch, context}, rounds, reading));
        print_decode(out["decode"].back());
      }
    }
    out["eval"].push_back(eval_figures(subject, rounds));
    print_eval(out["eval"].back());
  }
  if (!path.empty()) std::ofstream(path) << out.dump(2) << '\n';
  return 0;
}

}  // namespace
}  // namespace rw::bench

int main(int argc, char** argv) { return rw::bench::run(argc, argv); }
