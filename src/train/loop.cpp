// Part of Ropewalk, MIT licence.
#include "train/loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/log.h"
#include "metrics/process_memory.h"
#include "metrics/timer.h"

namespace rw::train {
namespace {

constexpr double kNanosPerMilli = 1e6;

Signals::Request agree(const LoopParts& parts, const LoopOptions& options) {
  Signals::Request mine;
  if (parts.signals != nullptr) mine = parts.signals->take();
  if (parts.world.rank() == 0) {
    const auto files = take_trigger_files(options.output_dir);
    mine.save = mine.save || files.save;
    mine.leave = mine.leave || files.leave;
  }
  std::array<std::uint64_t, 3> votes{mine.save ? 1U : 0U, mine.leave ? 1U : 0U,
                                     mine.at_once ? 1U : 0U};
  parts.world.all_reduce_max(votes).wait();
  return {votes[0] != 0, votes[1] != 0, votes[2] != 0};
}

metrics::StepRecord make_record(std::int64_t n, const core::StepResult& result, double step_ms,
                                const LoopOptions& options) {
  metrics::StepRecord record;
  record.step = n;
  record.loss = result.loss;
  record.grad_norm = result.grad_norm;
  record.lr = result.lr;
  record.tokens = result.tokens;
  record.step_ms = step_ms;
  record.tokens_per_s = static_cast<double>(result.tokens) / (step_ms / 1e3);
  record.flops_formula = options.flops_formula;
  if (options.peak_flops > 0) {
    record.mfu = record.tokens_per_s * options.flops_per_token / options.peak_flops;
  }
  record.bubble_pct = result.bubble_pct;
  record.bubble_pct_planned = result.bubble_pct_planned;
  record.comm_exposed_ms = result.comm_exposed_ms;
  record.data_wait_ms = result.data_wait_ms;
  record.mem_peak_bytes = metrics::process_memory().peak_bytes;
  record.mem_model_peak_bytes =
      record.mem_peak_bytes - std::min(record.mem_peak_bytes, options.memory_before_bytes);
  return record;
}

bool due(std::int64_t n, std::int64_t interval) { return interval > 0 && n % interval == 0; }

/// What came while the job started: before a step there is nothing that is not committed.
std::optional<Ending> answer_early(const LoopParts& parts, const LoopOptions& options) {
  const Signals::Request request = agree(parts, options);
  if (request.at_once) return Ending::kTerminated;
  const std::int64_t done = options.first_step - 1;
  if (request.save && !request.leave && parts.world.rank() == 0) {
    core::log_info(
        done > 0 ? fmt::format("asked to save: nothing new to save, step {} is committed", done)
                 : "asked to save before the first step: nothing new to save");
  }
  if (request.leave && options.first_step <= options.max_steps) return Ending::kLeftEarly;
  return std::nullopt;
}

}  // namespace

Ending run_loop(const LoopParts& parts, const LoopOptions& options) {
  parts.watchdog.progress(options.first_step - 1);
  if (const auto early = answer_early(parts, options)) return *early;
  double blocked_ms = 0;  // by checkpoints since the last record
  for (std::int64_t n = options.first_step; n <= options.max_steps; ++n) {
    const std::int64_t begin = metrics::now_ns();
    const core::StepResult result = parts.method.step(n);
    const double step_ms = static_cast<double>(metrics::now_ns() - begin) / kNanosPerMilli;
    auto record = make_record(n, result, step_ms, options);
    if (due(n, options.validation_interval) || n == options.max_steps) {
      record.validation_loss = parts.method.validate();
    }
    record.ckpt_blocked_ms = blocked_ms;
    blocked_ms = 0;
    parts.watchdog.progress(n);

    const Signals::Request request = agree(parts, options);
    const bool last = n == options.max_steps || request.leave || request.at_once;
    // The line comes before the checkpoint: a resume cuts lines that are too late, and cannot invent
    // one that is missing.
    if (parts.sinks != nullptr && (last || due(n, options.log_interval))) {
      for (const auto& sink : *parts.sinks) sink->write(record);
    }
    if (request.at_once) return Ending::kTerminated;
    if (last || request.save || due(n, options.checkpoint_interval)) {
      parts.checkpointer.save(n, parts.method);
      blocked_ms = parts.checkpointer.last_save_ms();
      parts.watchdog.progress(n);
    }
    if (request.leave && n < options.max_steps) return Ending::kPreempted;
  }
  return Ending::kDone;
}

}  // namespace rw::train
