// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "metrics/append_file.h"

namespace rw::metrics {

/// Rows of a rank in the trace: the `lane` of Trace::add. Any other number is a row of its own.
inline constexpr int kLaneCompute = 0;
inline constexpr int kLaneComm = 1;
inline constexpr int kLaneData = 2;
inline constexpr int kLaneCheckpoint = 3;
inline constexpr int kLaneWaiting = 4;    // what the training thread waits for
inline constexpr int kLanePredicted = 5;  // compute, as the plan has it

/// The timeline of one rank as Chrome's trace-event JSON (array form, one event a line), which
/// ui.perfetto.dev opens: pid = rank, tid = lane, times in microseconds of the monotonic clock. Lines
/// are kept in memory and appended in blocks of whole lines, so a killed run leaves a file that
/// readers of this format still open: they do not ask for the closing bracket.
class Trace {
 public:
  /// Keeps events in memory until open(). Those beyond `max_events` are counted, not kept.
  explicit Trace(int rank, std::int64_t max_events = 2'000'000);
  /// A file of a former run is never touched: when `path` ("rank-0.json") is there, the first free
  /// of "rank-0.1.json", "rank-0.2.json", … is taken. Throws Error{kStorage}.
  void open(const std::string& path);
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  ~Trace();
  /// One operation from begin_ns to end_ns (now_ns()). `micro_batch` and `stage` below 0 are left
  /// out. Thread-safe; well below 1 us but for one write in some hundreds of calls. Never throws on a
  /// full disk: recording stops, problem() says why.
  void add(const char* name, const char* category, std::int64_t begin_ns, std::int64_t end_ns,
           std::int64_t micro_batch, std::int64_t stage, int lane);
  /// Ends the file as valid JSON; later calls and events do nothing. Never throws.
  void close();
  /// "" or why recording stopped.
  std::string problem() const;
  const std::string& path() const { return file_->path(); }

 private:
  void append(const std::string& line);
  void flush();
  std::unique_ptr<AppendFile> file_;
  int rank_;
  std::int64_t max_events_;
  mutable std::mutex mutex_;  // all below
  std::int64_t events_ = 0;
  std::int64_t dropped_ = 0;
  std::int64_t flushed_ns_ = 0;  // end of the last event that was flushed
  std::set<int> lanes_;          // already named
  std::string buffer_;           // whole lines
  std::string problem_;
  bool closed_ = false;
};

}  // namespace rw::metrics
