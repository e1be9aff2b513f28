// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/tensor.h"

namespace rw::core {

/// One tensor of the state, or a range of its elements, as checkpoints know it (papers/checkpoint.md
/// §7.5, §7.9).
struct StateTensor {
  std::string name;   // logical, e.g. "model.layers.3.mlp.up_proj.weight"
  std::string kind;   // "param", "exp_avg", "exp_avg_sq", …
  bool owned = true;  // this rank writes it; other holders of the same bytes only read it back
  /// Of the whole tensor, when what is walked is elements [first, first + elems()) of it, row-major.
  /// Rank 0: what is walked is the whole tensor.
  Shape shape = {};
  std::int64_t first = 0;
};

/// Walks the state of a method. The same walk saves and loads, so that what is saved and what is
/// loaded cannot differ.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  /// Saving reads `tensor`; loading overwrites it in place.
  virtual void tensor(const StateTensor& what, Tensor& tensor) = 0;
  /// Small host state (step, data cursor, digests). Equal on every rank; keys are unique.
  virtual void number(std::string_view key, std::uint64_t& value) = 0;
  virtual void text(std::string_view key, std::string& value) = 0;
};

/// What one training step did; the same numbers on every rank but for those marked (rank).
struct StepResult {
  double loss = 0;          // nats, mean over the tokens of the global batch, before the update
  double grad_norm = 0;     // global L2 norm before clipping
  double lr = 0;            // used by this step
  std::int64_t tokens = 0;  // predicted tokens of the global batch
  double bubble_pct = 0;    // measured: mean over ranks of idle time in the step, percent
  double bubble_pct_planned = 0;  // from the plan's simulation
  double comm_exposed_ms = 0;     // time the training thread waited for communication (rank)
  double data_wait_ms = 0;        // time it waited for batches (rank)
};

/// Every way of training answers to this. Collective: all ranks make the same calls.
class Method {
 public:
  virtual ~Method() = default;
  /// Runs step n (from 1). Throws Error{kNonFinite} before any weight changed when loss or gradient
  /// norm is not finite.
  virtual StepResult step(std::int64_t n) = 0;
  /// Mean loss in nats per token over the validation set, if the recipe names one. Leaves the state
  /// alone.
  virtual std::optional<double> validate() = 0;
  virtual void visit_state(StateVisitor& visitor) = 0;
  /// Writes the model in Hugging Face layout to `folder`, which is made; rank 0 writes. Throws
  /// Error{kStorage}.
  virtual void export_model(const std::string& folder) = 0;
};

}  // namespace rw::core
