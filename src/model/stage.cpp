// Part of Ropewalk, MIT licence.
#include "model/stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "core/dry_run.h"
#include "core/error.h"
#include "kernels/embedding/embedding.h"
#include "model/block.h"
#include "model/head.h"
#include "model/rope_table.h"

namespace rw::model {
using core::Tensor;
using kernels::Accumulate;

namespace {

class StageSaved final : public Saved {
 public:
  std::int64_t batch = 0;
  std::int64_t tokens = 0;
  Tensor positions;  // [N] i32
  Tensor token_ids;  // with the embedding
  Tensor dembedded;  // [N, D], with the embedding, after backward_input
  std::vector<BlockSaved> blocks;
  HeadSaved head;

  std::int64_t bytes() const override {
    std::int64_t sum = head.bytes();
    for (const Tensor* tensor : {&positions, &token_ids, &dembedded}) {
      if (tensor->defined()) sum += static_cast<std::int64_t>(tensor->bytes());
    }
    for (const BlockSaved& block : blocks) sum += block.bytes();
    return sum;
  }
};

StageSaved& of_stage(Saved& saved, std::size_t blocks) {
  auto* out = dynamic_cast<StageSaved*>(&saved);
  if (out == nullptr || out->blocks.size() != blocks) {
    throw core::Error(core::ErrorKind::kBug,
                      "Stage: got a Saved of another stage, want one that this stage's forward "
                      "made");
  }
  return *out;
}

void report(const BucketDone& done, int bucket) {
  if (done) done(bucket);
}

}  // namespace

struct Stage::Impl {
  Impl(const Options& model, const StageRange& part, std::shared_ptr<Params> shared,
       core::Device where, const RecomputeOptions& recompute)
      : options(model), range(part), params(std::move(shared)), device(where) {
    if (range.first_layer < 0 || range.last_layer < range.first_layer ||
        range.last_layer > options.num_hidden_layers) {
      throw core::Error(
          core::ErrorKind::kShape,
          fmt::format("Stage: got layers [{}, {}), want a range in [0, {})", range.first_layer,
                      range.last_layer, options.num_hidden_layers));
    }
    if (range.embedding) embedding = params->weight("model.embed_tokens.weight");
    for (std::int64_t i = range.first_layer; i < range.last_layer; ++i) {
      blocks.emplace_back(options, *params, i, recompute.of_layer(i - range.first_layer));
    }
    if (range.head) head.emplace(options, *params);
  }

  void check(const StageInput& input) const;
  void prepare(std::int64_t batch, std::int64_t tokens);
  BlockPass pass(std::int64_t batch, std::int64_t tokens, const Tensor& at,
                 const BucketNeeded& needed = {}) const {
    return {.batch = batch, .tokens = tokens, .positions = at, .rope = &rope, .needed = needed};
  }
  Tensor embed(const Tensor& token_ids, core::Stream& stream) const;
  void hold_head_grad(core::Stream& stream);
  void head_weight(StageSaved& saved, const BucketDone& done, core::Stream& stream);
  void block_weight(std::size_t i, Half half, StageSaved& saved, const BucketDone& done,
                    core::Stream& stream);
  void embedding_weight(StageSaved& saved, const Tensor& dembedded, const BucketDone& done,
                        core::Stream& stream);
  bool head_reports_matrix() const {
    return head->matrix_bucket() != head->bucket() && !range.embedding;
  }

  Options options;
  StageRange range;
  std::shared_ptr<Params> params;  // shared with the other stages of this rank
  core::Device device;
  Weight embedding;
  std::vector<Block> blocks;
  std::optional<Head> head;
  RopeTable rope;
  std::int64_t positions_batch = 0;
  std::int64_t positions_tokens = 0;
  Tensor positions;
};

void Stage::Impl::check(const StageInput& input) const {
  const std::int64_t rows = input.batch * input.tokens;
  if (input.batch < 1 || input.tokens < 1) {
    throw core::Error(core::ErrorKind::kShape,
                      fmt::format("Stage::forward: got batch {}, tokens {}, want both >= 1",
                                  input.batch, input.tokens));
  }
  if (range.embedding) {
    core::require("Stage::forward", "token_ids", input.token_ids, {rows}, core::DType::kI32);
  } else {
    core::require("Stage::forward", "x", input.x, {rows, options.hidden_size});
  }
  if (range.head) {
    core::require("Stage::forward", "targets", input.targets, {rows}, core::DType::kI32);
  }
}

void Stage::Impl::prepare(std::int64_t batch, std::int64_t tokens) {
  if (rope.positions() < tokens) rope = make_rope_table(options, tokens, device);
  if (positions_batch == batch && positions_tokens == tokens) return;
  positions_batch = batch;
  positions_tokens = tokens;
  if (core::DryRun::current() != nullptr) {
    positions = Tensor::empty({batch * tokens}, core::DType::kI32, device);
    return;
  }
  std::vector<std::int32_t> host;
  host.reserve(static_cast<std::size_t>(batch * tokens));
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t t = 0; t < tokens; ++t) host.push_back(static_cast<std::int32_t>(t));
  }
  positions = Tensor::of_ints({batch * tokens}, host, device);
}

Tensor Stage::Impl::embed(const Tensor& token_ids, core::Stream& stream) const {
  Tensor x = Tensor::empty({token_ids.shape()[0], options.hidden_size}, core::DType::kF32, device);
  kernels::embedding_forward(token_ids, embedding.value, x, stream);
  return x;
}

void Stage::Impl::hold_head_grad(core::Stream& stream) {
  params->hold_grad(head->bucket(), stream);
  params->hold_grad(head->matrix_bucket(), stream);
}

void Stage::Impl::head_weight(StageSaved& saved, const BucketDone& done, core::Stream& stream) {
  if (!head) return;
  hold_head_grad(stream);
  head->backward_weight(saved.head, stream);
  report(done, head->bucket());
  if (head_reports_matrix()) report(done, head->matrix_bucket());
}

void Stage::Impl::block_weight(std::size_t i, Half half, StageSaved& saved, const BucketDone& done,
                               core::Stream& stream) {
  const int bucket = blocks[i].bucket(half);
  const bool first = params->hold_grad_beside_matrices(bucket, stream);
  blocks[i].backward_weight(half, saved.blocks[i], first ? Accumulate::kNo : Accumulate::kYes,
                            stream);
  report(done, bucket);
}

/// Before the last weights of the first block: the embedding's gradient, which costs little to make,
/// travels while these are worked out.
void Stage::Impl::embedding_weight(StageSaved& saved, const Tensor& dembedded,
                                   const BucketDone& done, core::Stream& stream) {
  if (!range.embedding) return;
  params->hold_grad(embedding.bucket, stream);
  kernels::embedding_backward(saved.token_ids, dembedded, embedding.grad, stream);
  saved.token_ids = {};
  report(done, embedding.bucket);
}

Stage::Stage(const Options& options, const StageRange& range, std::shared_ptr<Params> params,
             core::Device device, const RecomputeOptions& recompute)
    : impl_(std::make_unique<Impl>(options, range, std::move(params), device, recompute)) {}
Stage::~Stage() = default;
Stage::Stage(Stage&&) noexcept = default;

const StageRange& Stage::range() const { return impl_->range; }
Params& Stage::params() { return *impl_->params; }
const Params& Stage::params() const { return *impl_->params; }

std::vector<int> Stage::buckets() const {
  std::vector<int> out;
  if (impl_->head) out.push_back(impl_->head->bucket());
  if (impl_->head && impl_->head_reports_matrix()) out.push_back(impl_->head->matrix_bucket());
  for (std::size_t i = impl_->blocks.size(); i-- > 0;) {
    out.push_back(impl_->blocks[i].bucket(Half::kMlp));
    if (i == 0 && impl_->range.embedding) out.push_back(impl_->embedding.bucket);
    out.push_back(impl_->blocks[i].bucket(Half::kAttention));
  }
  if (impl_->blocks.empty() && impl_->range.embedding) out.push_back(impl_->embedding.bucket);
  return out;
}

StageOutput Stage::forward(const StageInput& input, std::unique_ptr<Saved>* saved,
                           core::Stream& stream) {
  Impl& stage = *impl_;
  stage.check(input);
  stage.prepare(input.batch, input.tokens);
  std::unique_ptr<StageSaved> keep;
  if (saved != nullptr && !(stage.head && input.gradient_scale == 0)) {
    keep = std::make_unique<StageSaved>();
    keep->batch = input.batch;
    keep->tokens = input.tokens;
    keep->positions = stage.positions;
    keep->token_ids = stage.range.embedding ? input.token_ids : Tensor();
    keep->blocks.resize(stage.blocks.size());
  }
  const BlockPass pass = stage.pass(input.batch, input.tokens, stage.positions, input.needed);
  const auto need = [&](int bucket) {
    if (input.needed) input.needed(bucket);
  };
  if (stage.range.embedding) need(stage.embedding.bucket);
  Tensor x = stage.range.embedding ? stage.embed(input.token_ids, stream) : input.x;
  for (std::size_t i = 0; i < stage.blocks.size(); ++i) {
    x = stage.blocks[i].forward(x, pass, keep ? &keep->blocks[i] : nullptr, stream);
  }
  StageOutput out;
  if (stage.head) {
    need(stage.head->bucket());
    need(stage.head->matrix_bucket());
    const bool add_weight = keep && input.backward_next;
    if (add_weight) stage.hold_head_grad(stream);
    const HeadLoss loss =
        stage.head->forward(x, input.targets, input.gradient_scale, keep ? &keep->head : nullptr,
                            add_weight ? Head::Gradients::kAdd : Head::Gradients::kKeep, stream);
    out.loss_sum = loss.sum;
    out.loss_tokens = loss.tokens;
  } else {
    out.y = x;
  }
  if (saved != nullptr) *saved = std::move(keep);
  return out;
}

Tensor Stage::backward(std::unique_ptr<Saved> saved, const Tensor& dy, const BucketDone& done,
                       core::Stream& stream) {
  Impl& stage = *impl_;
  StageSaved& keep = of_stage(*saved, stage.blocks.size());
  const BlockPass pass = stage.pass(keep.batch, keep.tokens, keep.positions);
  Tensor dx = stage.head ? std::exchange(keep.head.dx, {}) : dy;
  stage.head_weight(keep, done, stream);
  for (std::size_t i = stage.blocks.size(); i-- > 0;) {
    // A half's weights right behind its input, so that they travel while the other half is worked on.
    dx = stage.blocks[i].mlp_backward_input(keep.blocks[i], dx, pass, stream);
    stage.block_weight(i, Half::kMlp, keep, done, stream);
    dx = stage.blocks[i].attention_backward_input(keep.blocks[i], dx, pass, stream);
    if (i == 0) stage.embedding_weight(keep, dx, done, stream);
    stage.block_weight(i, Half::kAttention, keep, done, stream);
  }
  if (stage.blocks.empty()) stage.embedding_weight(keep, dx, done, stream);
  return stage.range.embedding ? Tensor() : dx;
}

Tensor Stage::backward_input(Saved& saved, const Tensor& dy, core::Stream& stream) {
  Impl& stage = *impl_;
  StageSaved& keep = of_stage(saved, stage.blocks.size());
  const BlockPass pass = stage.pass(keep.batch, keep.tokens, keep.positions);
  Tensor dx = stage.head ? std::exchange(keep.head.dx, {}) : dy;
  for (std::size_t i = stage.blocks.size(); i-- > 0;) {
    const Block& block = stage.blocks[i];
    dx = block.mlp_backward_input(keep.blocks[i], dx, pass, stream);
    dx = block.attention_backward_input(keep.blocks[i], dx, pass, stream);
  }
  if (!stage.range.embedding) return dx;
  keep.dembedded = dx;
  return {};
}

void Stage::backward_weight(std::unique_ptr<Saved> saved, const BucketDone& done,
                            core::Stream& stream) {
  Impl& stage = *impl_;
  StageSaved& keep = of_stage(*saved, stage.blocks.size());
  stage.head_weight(keep, done, stream);
  const Tensor dembedded = std::exchange(keep.dembedded, {});
  for (std::size_t i = stage.blocks.size(); i-- > 0;) {
    stage.block_weight(i, Half::kMlp, keep, done, stream);
    if (i == 0) stage.embedding_weight(keep, dembedded, done, stream);
    stage.block_weight(i, Half::kAttention, keep, done, stream);
  }
  if (stage.blocks.empty()) stage.embedding_weight(keep, dembedded, done, stream);
}

}  // namespace rw::model
