// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/tensor.h"
#include "model/options.h"
#include "model/params.h"

namespace rw::model {

/// Consecutive layers [first_layer, last_layer) of the model, with the embedding in front and/or
/// norm + head + loss behind.
struct StageRange {
  std::int64_t first_layer = 0;
  std::int64_t last_layer = 0;
  bool embedding = false;
  bool head = false;
};

/// Called before the values of one bucket (see Params::buckets) are read, perhaps more than once.
using BucketNeeded = std::function<void(int bucket)>;

/// One micro-batch on its way in. B rows of T tokens.
struct StageInput {
  std::int64_t batch = 0;      // B
  std::int64_t tokens = 0;     // T
  core::Tensor token_ids;      // [B·T] i32, only where the stage has the embedding
  core::Tensor x;              // [B·T, D] f32 otherwise
  core::Tensor targets;        // [B·T] i32, only where it has the head; negative = padding
  float gradient_scale = 0;    // with the head: the loss is sum(losses) · gradient_scale; 0 =
                               // evaluation, no gradients wanted
  bool backward_next = false;  // with the head: of all calls that change gradients, backward() of
                               // this micro-batch is the next one
  BucketNeeded needed;         // forward calls it, in the order of the model; may be empty
};

struct StageOutput {
  core::Tensor y;       // [B·T, D] f32, undefined where the stage has the head
  double loss_sum = 0;  // nats, summed over real targets (f64), head only
  std::int64_t loss_tokens = 0;
};

/// What one micro-batch leaves on a stage between its passes; made by forward, used up by the
/// backward calls, one per (micro-batch, stage). Opaque to callers. bytes() is what it holds on the
/// device now.
class Saved {
 public:
  virtual ~Saved() = default;
  virtual std::int64_t bytes() const = 0;
};

/// Called when the gradients of one bucket (see Params::buckets) have received this micro-batch's
/// last contribution from this stage: once for each of Stage::buckets(). A tied embedding that two
/// stages of one rank share is complete when both have said so.
using BucketDone = std::function<void(int bucket)>;

/// A piece of the model on one device: forward, backward-input and backward-weight written out (no
/// autograd). Not thread-safe. Gradients accumulate in params() (grad += …) until zero_grad(). Per
/// micro-batch the caller runs forward, then either backward(), or backward_input() and some time
/// later backward_weight(); both ways give the same bits. Gradients change in backward() and
/// backward_weight() only; with input.backward_next forward() adds those of the head, the same bits
/// with less memory, and without making logits twice where they do not fit into kLogitsBytes. Tensors handed in (input, dy) are kept, not copied: leave their memory
/// alone until the micro-batch's last call here has returned.
class Stage {
 public:
  /// `params` may be shared between stages of one rank (a tied embedding): see make_params in
  /// params.h.
  Stage(const Options& options, const StageRange& range, std::shared_ptr<Params> params,
        core::Device device = {}, const RecomputeOptions& recompute = {});
  ~Stage();
  Stage(Stage&&) noexcept;
  const StageRange& range() const;
  Params& params();
  const Params& params() const;
  /// The buckets that this stage adds to, in the order in which it reports them.
  std::vector<int> buckets() const;

  /// `saved` is filled unless input.gradient_scale == 0 on a head stage / `saved` is nullptr
  /// (evaluation).
  StageOutput forward(const StageInput& input, std::unique_ptr<Saved>* saved, core::Stream& stream);
  /// dy [B·T, D] (undefined with the head). Returns dx [B·T, D], undefined with the embedding.
  /// `done` may be empty.
  core::Tensor backward(std::unique_ptr<Saved> saved, const core::Tensor& dy,
                        const BucketDone& done, core::Stream& stream);
  core::Tensor backward_input(Saved& saved, const core::Tensor& dy, core::Stream& stream);
  void backward_weight(std::unique_ptr<Saved> saved, const BucketDone& done, core::Stream& stream);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rw::model
