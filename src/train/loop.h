// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/checkpointer.h"
#include "comm/communicator.h"
#include "core/method.h"
#include "metrics/sinks.h"
#include "train/signals.h"
#include "train/watchdog.h"

namespace rw::train {

struct LoopOptions {
  std::int64_t first_step = 1;            // 1, or the restored step + 1
  std::int64_t max_steps = 0;             // the last step
  std::int64_t log_interval = 1;          // steps between records
  std::int64_t checkpoint_interval = 0;   // steps; 0: only at the end and on request
  std::int64_t validation_interval = 0;   // steps; 0: never
  std::string output_dir;                 // SAVE and STOP are looked for here
  std::uint64_t memory_before_bytes = 0;  // resident before the model was built
  double flops_per_token = 0;             // for the record; 0: unknown
  std::string flops_formula;              // what it counts
  double peak_flops = 0;                  // of all ranks, measured or known; 0: no MFU is printed
};

/// What the loop works with; everything outlives it.
struct LoopParts {
  core::Method& method;
  comm::Communicator& world;
  ckpt::Checkpointer& checkpointer;
  Watchdog& watchdog;
  Signals* signals = nullptr;  // one object a process; may be null
  std::vector<std::unique_ptr<metrics::Sink>>* sinks = nullptr;  // of rank 0
};

enum class Ending : std::uint8_t {
  kDone,       // max_steps are done and committed
  kLeftEarly,  // asked to leave by USR1 or STOP before the first step: nothing is new
  kPreempted,  // asked to leave by USR1 or STOP; the checkpoint is committed
  kTerminated  // asked by TERM to leave at once; nothing was saved
};

/// The main loop of every method: step, record, save, stop. Collective. Requests (signals, trigger
/// files) that any rank saw are agreed on by all before the first step and at the end of each, so that
/// all act on the same one. Throws what the method and the checkpointer throw; Error{kNonFinite} comes before any weight
/// changed.
Ending run_loop(const LoopParts& parts, const LoopOptions& options);

}  // namespace rw::train
