// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace rw::metrics {

/// What is known of one training step; docs/formats/metrics.md has the table. One line of
/// metrics.jsonl, one set of TensorBoard scalars, one step line.
struct StepRecord {
  std::int64_t step = 0;      // from 1
  double loss = 0;            // nats, mean over the tokens of the global batch, before the update
  double grad_norm = 0;       // global L2 norm before clipping
  double lr = 0;              // used by this step
  std::int64_t tokens = 0;    // predicted tokens of the global batch
  double tokens_per_s = 0;    // of this step alone
  double step_ms = 0;         // wall time of this step
  std::optional<double> mfu;  // share of the peak, 0 to 1; absent without a known peak
  std::string flops_formula;  // what mfu counts
  double bubble_pct = 0;      // measured, percent
  double bubble_pct_planned = 0;
  double comm_exposed_ms = 0;
  double data_wait_ms = 0;
  double ckpt_blocked_ms = 0;
  std::uint64_t mem_peak_bytes = 0;        // of the process so far
  std::uint64_t mem_model_peak_bytes = 0;  // that, less what it held before its model was built
  std::optional<double> validation_loss;   // nats per token, on steps that validated
};

}  // namespace rw::metrics
