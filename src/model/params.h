// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "model/options.h"

namespace rw::model {

struct StageRange;

/// One row of the table of parameters: logical (Hugging Face) name, shape, and whether AdamW decays
/// it (two or more dimensions).
struct ParamSpec {
  std::string name;
  core::Shape shape;
  bool decays = false;
  bool ones = false;  // starts as ones (norm weights); otherwise normal(0, initializer_range)
  /// A table that is looked up and nothing else: a row that no token names has no gradient.
  bool looked_up = false;
};

/// The table of a whole model, in order of use; with tied embeddings there is no lm_head.weight.
/// The only place that knows it.
std::vector<ParamSpec> param_table(const Options& options);

/// One parameter that a rank holds. value, grad: f32 on the device. Query, key and value weights
/// are consecutive rows of one buffer (one GEMM), as are gate and up: the tensors here are views of
/// it.
struct Param {
  ParamSpec spec;
  core::Tensor value;
  core::Tensor grad;
  int bucket = 0;
};

/// What one GEMM reads as one matrix: a parameter, or the consecutive rows of several.
/// "….self_attn.qkv_proj.weight" [(H + 2·Hkv)·Dh, D] and "….mlp.gate_up_proj.weight" [2F, D] are
/// the joint ones; every other has the name of its parameter. Another name for the memory of
/// Params::all, which therefore must be overwritten in place only.
struct Weight {
  std::string name;
  core::Tensor value;
  core::Tensor grad;
  core::Tensor copy = {};  // bf16, after Params::compute_in_bf16; undefined: none
  int bucket = 0;
  /// What products read.
  const core::Tensor& compute() const { return copy.defined() ? copy : value; }
};

/// The parameters of one or more stages on one rank, each once. A bucket is the unit in which
/// gradients become complete: two per layer (attention with the norm before it, MLP with its own), one
/// for the embedding, one for final norm + head; numbered in the order of the model. A tied embedding is in the embedding's bucket, on a rank
/// without the embedding in the head's.
class Params {
 public:
  std::vector<Param> all;  // in the order of param_table
  int buckets = 0;
  /// [elems] f32, one per bucket: all its gradients as one array, each starting at a multiple of 64
  /// bytes. The gaps are 0.
  std::vector<core::Tensor> bucket_grads;
  std::vector<core::Tensor> bucket_values;  // the same for values
  /// Elements [first, second) of each bucket that are in no matrix: vectors and gaps.
  std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> beside_matrices;
  std::vector<Weight> weights;           // in the order of the model
  Param* find(const std::string& name);  // nullptr when this rank does not hold it
  /// Throws Error{kBug} when this rank does not hold it.
  const Weight& weight(const std::string& name) const;
  void zero_grad(core::Stream& stream);
  /// The gradients are zero from now on and have no memory (core::Tensor::give_back) until hold_grad,
  /// which gives a bucket memory and fills it with zeros unless it has some. Stage holds what it adds
  /// to, so that in a step gradients come as activations go.
  void drop_grad();
  void hold_grad(int bucket, core::Stream& stream);
  /// The same for who is about to add to every matrix of the bucket: true where it had no memory, and its
  /// matrices are still to be written (Accumulate::kNo), not added to; all else in it is 0.
  bool hold_grad_beside_matrices(int bucket, core::Stream& stream);
  /// From now on products are in bf16: every matrix that one reads gets a bf16 copy of its values
  /// (norms and a table that is only looked up in get none), without memory yet. Values stay f32, as do
  /// gradients. Before any Stage is made from these parameters, and once.
  void compute_in_bf16();
  /// Gives the copies of a bucket that have no memory some and rounds the values into them; until drop_copies
  /// (core::Tensor::give_back). Whoever multiplies holds, whoever changes values drops; without copies both
  /// do nothing.
  void hold_copies(int bucket, core::Stream& stream);
  void drop_copies(int bucket);
  void hold_copies(core::Stream& stream);  // of all buckets, as the next
  void drop_copies();
  /// Random start: a function of (seed, name, element) alone.
  void initialise(const Options& options, std::uint64_t seed);
  std::int64_t elems() const;

 private:
  bool take_grad(int bucket);
};

/// The parameters of all `ranges` together; a tied embedding that both ends of the model hold is
/// there once.
std::shared_ptr<Params> make_params(const Options& options, const std::vector<StageRange>& ranges,
                                    core::Device device = {});

}  // namespace rw::model
