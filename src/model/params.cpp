// Part of Ropewalk, MIT licence.
#include "model/params.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <utility>

#include "core/arena.h"
#include "core/dry_run.h"
#include "core/error.h"
#include "core/rng.h"
#include "kernels/elementwise/elementwise.h"
#include "model/stage.h"

namespace rw::model {
namespace {

constexpr std::int64_t kAlignElems = 16;  // 64 bytes

ParamSpec matrix(std::string name, std::int64_t rows, std::int64_t columns) {
  return {.name = std::move(name), .shape = {rows, columns}, .decays = true, .ones = false};
}

ParamSpec norm(std::string name, std::int64_t elems) {
  return {.name = std::move(name), .shape = {elems}, .decays = false, .ones = true};
}

ParamSpec embedding_spec(const Options& o) {
  ParamSpec out = matrix("model.embed_tokens.weight", o.vocab_size, o.hidden_size);
  out.looked_up = !o.tie_word_embeddings;
  return out;
}

std::string layer_name(std::int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

std::vector<ParamSpec> attention_specs(const Options& o, std::int64_t layer) {
  const std::string at = layer_name(layer);
  const std::int64_t kv = o.num_key_value_heads * o.head_dim;
  const std::int64_t q = o.num_attention_heads * o.head_dim;
  std::vector<ParamSpec> out;
  out.push_back(norm(at + "input_layernorm.weight", o.hidden_size));
  out.push_back(matrix(at + "self_attn.q_proj.weight", q, o.hidden_size));
  out.push_back(matrix(at + "self_attn.k_proj.weight", kv, o.hidden_size));
  out.push_back(matrix(at + "self_attn.v_proj.weight", kv, o.hidden_size));
  if (o.name == "qwen3") {
    out.push_back(norm(at + "self_attn.q_norm.weight", o.head_dim));
    out.push_back(norm(at + "self_attn.k_norm.weight", o.head_dim));
  }
  out.push_back(matrix(at + "self_attn.o_proj.weight", o.hidden_size, q));
  return out;
}

std::vector<ParamSpec> mlp_specs(const Options& o, std::int64_t layer) {
  const std::string at = layer_name(layer);
  std::vector<ParamSpec> out;
  out.push_back(norm(at + "post_attention_layernorm.weight", o.hidden_size));
  out.push_back(matrix(at + "mlp.gate_proj.weight", o.intermediate_size, o.hidden_size));
  out.push_back(matrix(at + "mlp.up_proj.weight", o.intermediate_size, o.hidden_size));
  out.push_back(matrix(at + "mlp.down_proj.weight", o.hidden_size, o.intermediate_size));
  return out;
}

std::vector<ParamSpec> head_specs(const Options& o) {
  std::vector<ParamSpec> out{norm("model.norm.weight", o.hidden_size)};
  if (!o.tie_word_embeddings) {
    out.push_back(matrix("lm_head.weight", o.vocab_size, o.hidden_size));
  }
  return out;
}

/// The name of the Weight that a parameter is part of.
std::string weight_name(const std::string& param) {
  constexpr std::array<std::pair<const char*, const char*>, 5> kJoint{{
      {"q_proj.weight", "qkv_proj.weight"},
      {"k_proj.weight", "qkv_proj.weight"},
      {"v_proj.weight", "qkv_proj.weight"},
      {"gate_proj.weight", "gate_up_proj.weight"},
      {"up_proj.weight", "gate_up_proj.weight"},
  }};
  const std::size_t dot = param.rfind('.', param.rfind('.') - 1) + 1;
  for (const auto& [part, joint] : kJoint) {
    if (param.compare(dot, std::string::npos, part) == 0) return param.substr(0, dot) + joint;
  }
  return param;
}

/// Where a parameter's rows lie in its weight, and the weight's in its bucket.
struct Slot {
  std::size_t weight = 0;
  std::int64_t first_row = 0;
};

class Layout {
 public:
  void add(ParamSpec spec, int bucket) {
    const std::string name = weight_name(spec.name);
    if (weights_.empty() || weights_.back().name != name) {
      weights_.push_back({.name = name, .shape = {}, .bucket = bucket});
      rows_ = 0;
    }
    Planned& weight = weights_.back();
    slots_.push_back({weights_.size() - 1, rows_});
    rows_ += spec.shape[0];
    weight.shape = spec.shape.rank() == 1 ? core::Shape{rows_} : core::Shape{rows_, spec.shape[1]};
    params_.push_back({.spec = std::move(spec), .value = {}, .grad = {}, .bucket = bucket});
  }

  void build(Params& out, int buckets, core::Device device) {
    std::vector<std::int64_t> elems(static_cast<std::size_t>(buckets), 0);
    std::vector<std::int64_t> begins;
    out.beside_matrices.resize(elems.size());
    for (const Planned& weight : weights_) {
      const auto bucket = static_cast<std::size_t>(weight.bucket);
      const std::int64_t begin =
          std::exchange(elems[bucket], elems[bucket] + (weight.shape.elems() + kAlignElems - 1) /
                                                           kAlignElems * kAlignElems);
      begins.push_back(begin);
      const std::int64_t matrix_end =
          weight.shape.rank() > 1 ? begin + weight.shape.elems() : begin;
      if (matrix_end < elems[bucket]) {
        out.beside_matrices[bucket].emplace_back(matrix_end, elems[bucket]);
      }
    }
    auto& values = out.bucket_values;
    for (const std::int64_t count : elems) {
      const core::MemoryLabel label("weights");
      values.push_back(core::Tensor::zeros({count}, core::DType::kF32, device));
    }
    for (const std::int64_t count : elems) {
      const core::MemoryLabel label("gradients");
      out.bucket_grads.push_back(core::Tensor::zeros({count}, core::DType::kF32, device));
    }
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const Planned& weight = weights_[i];
      const auto bucket = static_cast<std::size_t>(weight.bucket);
      const std::int64_t end = begins[i] + weight.shape.elems();
      out.weights.push_back(
          {.name = weight.name,
           .value = values[bucket].flat(begins[i], end).view(weight.shape),
           .grad = out.bucket_grads[bucket].flat(begins[i], end).view(weight.shape),
           .bucket = weight.bucket});
    }
    for (std::size_t i = 0; i < params_.size(); ++i) {
      const auto [weight, first] = slots_[i];
      const std::int64_t last = first + params_[i].spec.shape[0];
      params_[i].value = out.weights[weight].value.rows(first, last);
      params_[i].grad = out.weights[weight].grad.rows(first, last);
    }
    out.all = std::move(params_);
    out.buckets = buckets;
  }

 private:
  struct Planned {
    std::string name;
    core::Shape shape;
    int bucket = 0;
  };
  std::vector<Planned> weights_;
  std::vector<Slot> slots_;
  std::vector<Param> params_;
  std::int64_t rows_ = 0;
};

}  // namespace

std::vector<ParamSpec> param_table(const Options& options) {
  std::vector<ParamSpec> out{embedding_spec(options)};
  for (std::int64_t layer = 0; layer < options.num_hidden_layers; ++layer) {
    for (ParamSpec& spec : attention_specs(options, layer)) out.push_back(std::move(spec));
    for (ParamSpec& spec : mlp_specs(options, layer)) out.push_back(std::move(spec));
  }
  for (ParamSpec& spec : head_specs(options)) out.push_back(std::move(spec));
  return out;
}

Param* Params::find(const std::string& name) {
  const auto at = std::find_if(all.begin(), all.end(),
                               [&](const Param& param) { return param.spec.name == name; });
  return at == all.end() ? nullptr : &*at;
}

const Weight& Params::weight(const std::string& name) const {
  for (const Weight& weight : weights) {
    if (weight.name == name) return weight;
  }
  throw core::Error(core::ErrorKind::kBug,
                    "Params::weight: got " + name + ", want a weight that this rank holds");
}

void Params::zero_grad(core::Stream& stream) {
  for (core::Tensor& grads : bucket_grads) {
    grads.take();
    core::fill_zero(grads, stream);
  }
}

void Params::drop_grad() {
  for (core::Tensor& grads : bucket_grads) grads.give_back();
}

void Params::hold_grad(int bucket, core::Stream& stream) {
  if (take_grad(bucket)) core::fill_zero(bucket_grads[static_cast<std::size_t>(bucket)], stream);
}

bool Params::hold_grad_beside_matrices(int bucket, core::Stream& stream) {
  if (!take_grad(bucket)) return false;
  const auto at = static_cast<std::size_t>(bucket);
  for (const auto& [begin, end] : beside_matrices[at]) {
    core::Tensor part = bucket_grads[at].flat(begin, end);
    core::fill_zero(part, stream);
  }
  return true;
}

/// True where the bucket had no memory.
bool Params::take_grad(int bucket) {
  core::Tensor& grads = bucket_grads[static_cast<std::size_t>(bucket)];
  if (grads.address() != nullptr) return false;
  const core::MemoryLabel label("gradients");
  const core::TakeHigh high;  // it stays until the step ends
  grads.take();
  return true;
}

void Params::compute_in_bf16() {
  const auto holds = [&](const char* name) {
    return std::any_of(weights.begin(), weights.end(),
                       [&](const Weight& weight) { return weight.name == name; });
  };
  const bool head_reads_embedding = holds("model.norm.weight") && !holds("lm_head.weight");
  for (Weight& weight : weights) {
    const bool looked_up = weight.name == "model.embed_tokens.weight" && !head_reads_embedding;
    if (weight.value.shape().rank() < 2 || looked_up) continue;
    weight.copy =
        core::Tensor::empty(weight.value.shape(), core::DType::kBF16, weight.value.device());
    weight.copy.give_back();
  }
}

void Params::drop_copies(int bucket) {
  for (Weight& weight : weights) {
    if (weight.bucket == bucket && weight.copy.defined()) weight.copy.give_back();
  }
}

void Params::drop_copies() {
  for (int bucket = 0; bucket < buckets; ++bucket) drop_copies(bucket);
}

void Params::hold_copies(int bucket, core::Stream& stream) {
  for (Weight& weight : weights) {
    if (weight.bucket != bucket || !weight.copy.defined() || weight.copy.address() != nullptr) {
      continue;
    }
    const core::MemoryLabel label("bf16 copies");
    weight.copy.take();
    kernels::convert(weight.value, weight.copy, stream);
  }
}

void Params::hold_copies(core::Stream& stream) {
  for (int bucket = 0; bucket < buckets; ++bucket) hold_copies(bucket, stream);
}

void Params::initialise(const Options& options, std::uint64_t seed) {
  for (Param& param : all) {
    if (param.spec.ones) {
      core::Stream stream(param.value.device());
      kernels::fill(param.value, 1.0F, stream);
      stream.sync();
    } else {
      core::fill_normal(seed, param.spec.name, static_cast<float>(options.initializer_range), 0,
                        param.value);
    }
  }
}

std::int64_t Params::elems() const {
  std::int64_t sum = 0;
  for (const Param& param : all) sum += param.spec.shape.elems();
  return sum;
}

std::shared_ptr<Params> make_params(const Options& options, const std::vector<StageRange>& ranges,
                                    core::Device device) {
  std::set<std::int64_t> layers;
  bool embedding = false;
  bool head = false;
  for (const StageRange& range : ranges) {
    embedding = embedding || range.embedding;
    head = head || range.head;
    for (std::int64_t i = range.first_layer; i < range.last_layer; ++i) layers.insert(i);
  }
  const int first_bucket = embedding ? 1 : 0;
  const int head_bucket = first_bucket + 2 * static_cast<int>(layers.size());
  Layout layout;
  if (embedding) layout.add(embedding_spec(options), 0);
  if (!embedding && head && options.tie_word_embeddings) {
    layout.add(embedding_spec(options), head_bucket);
  }
  int bucket = first_bucket;
  for (const std::int64_t layer : layers) {
    for (ParamSpec& spec : attention_specs(options, layer)) layout.add(std::move(spec), bucket);
    ++bucket;
    for (ParamSpec& spec : mlp_specs(options, layer)) layout.add(std::move(spec), bucket);
    ++bucket;
  }
  if (head) {
    for (ParamSpec& spec : head_specs(options)) layout.add(std::move(spec), head_bucket);
  }
  auto out = std::make_shared<Params>();
  layout.build(*out, head ? head_bucket + 1 : head_bucket, device);
  return out;
}

}  // namespace rw::model
