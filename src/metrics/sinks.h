// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "metrics/step_record.h"

namespace rw::metrics {

/// Takes the records of a run, in order of steps, from one thread.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Throws Error{kStorage}.
  virtual void write(const StepRecord& record) = 0;
};

/// The line of metrics.jsonl without its newline: fields in the order of docs/formats/metrics.md,
/// loss and gradient norm with 9 significant digits (an f32 reads back to the same bits), what is
/// not finite as null.
std::string json_line(const StepRecord& record);

/// One line per record, on the disk's page cache when write() returns. `cut_after_step` >= 0: goes
/// on with the file at `path`; lines of later steps and torn lines are cut first, written aside and
/// renamed. -1: starts an empty file. Throws Error{kStorage}.
std::unique_ptr<Sink> make_jsonl(const std::string& path, std::int64_t cut_after_step);

/// A new event file in `folder`, tags named like the fields of metrics.jsonl. A reader drops what
/// earlier files hold of `first_step` and later steps. Throws Error{kStorage}.
std::unique_ptr<Sink> make_tensorboard(const std::string& folder, std::int64_t first_step);

struct TerminalOptions {
  bool colour = false;      // a terminal without NO_COLOR
  bool bar = false;         // a terminal: a progress bar below the lines
  std::FILE* out = stdout;  // not owned
};

/// The step line, and the bar.
std::unique_ptr<Sink> make_terminal(std::int64_t max_steps, const TerminalOptions& options);

}  // namespace rw::metrics
