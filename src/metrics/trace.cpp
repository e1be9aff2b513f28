// Part of Ropewalk, MIT licence.
#include "metrics/trace.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/error.h"
#include "core/json.h"

namespace rw::metrics {
namespace {

constexpr std::size_t kFlushBytes = 65536;
constexpr std::int64_t kFlushNanos = 1'000'000'000;

std::string free_path(const std::string& path) {
  const std::filesystem::path wanted(path);
  std::filesystem::path candidate = wanted;
  for (int number = 1; std::filesystem::exists(candidate); ++number) {
    candidate = wanted.parent_path() /
                fmt::format("{}.{}{}", wanted.stem().string(), number, wanted.extension().string());
  }
  return candidate.string();
}

/// Nanoseconds as microseconds with three decimals, without rounding.
std::string micros(std::int64_t ns) {
  return fmt::format("{}{}.{:03d}", ns < 0 ? "-" : "", (ns < 0 ? -ns : ns) / 1000,
                     (ns < 0 ? -ns : ns) % 1000);
}

std::string lane_name(int lane) {
  switch (lane) {
    case kLaneCompute:
      return "compute";
    case kLaneComm:
      return "comm";
    case kLaneData:
      return "data";
    case kLaneCheckpoint:
      return "checkpoint";
    case kLaneWaiting:
      return "waiting for";
    case kLanePredicted:
      return "predicted";
    default:
      return fmt::format("lane {}", lane);
  }
}

std::string metadata(const char* what, int rank, int lane, const char* key,
                     const std::string& value) {
  return fmt::format(R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"{}":{}}}}})", what, rank,
                     lane, key, core::Json(value).dump());
}

std::string arguments(std::int64_t micro_batch, std::int64_t stage) {
  std::string out;
  if (micro_batch >= 0) out += fmt::format(R"("micro_batch":{})", micro_batch);
  if (micro_batch >= 0 && stage >= 0) out += ",";
  if (stage >= 0) out += fmt::format(R"("stage":{})", stage);
  return out;
}

}  // namespace

Trace::Trace(int rank, std::int64_t max_events) : rank_(rank), max_events_(max_events) {}

void Trace::open(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  file_ = std::make_unique<AppendFile>(free_path(path), AppendFile::Start::kMustBeNew);
  const auto name = metadata("process_name", rank_, 0, "name", fmt::format("rank {}", rank_));
  file_->append("[\n" + name + ",\n");
}

Trace::~Trace() { close(); }

void Trace::add(const char* name, const char* category, std::int64_t begin_ns, std::int64_t end_ns,
                std::int64_t micro_batch, std::int64_t stage, int lane) {
  const std::string line = fmt::format(
      R"({{"name":{},"cat":{},"ph":"X","ts":{},"dur":{},"pid":{},"tid":{},"args":{{{}}}}})",
      core::Json(name).dump(), core::Json(category).dump(), micros(begin_ns),
      micros(end_ns - begin_ns), rank_, lane, arguments(micro_batch, stage));
  const std::scoped_lock lock(mutex_);
  if (closed_ || !problem_.empty()) return;
  if (events_ == max_events_) {
    ++dropped_;
    return;
  }
  ++events_;
  if (lanes_.insert(lane).second) {
    append(metadata("thread_name", rank_, lane, "name", lane_name(lane)));
  }
  append(line);
  if (flushed_ns_ == 0) flushed_ns_ = end_ns;
  if (buffer_.size() >= kFlushBytes || end_ns - flushed_ns_ >= kFlushNanos) {
    flush();
    flushed_ns_ = end_ns;
  }
}

void Trace::append(const std::string& line) { buffer_.append(line).append(",\n"); }

void Trace::flush() {
  if (!problem_.empty() || file_ == nullptr) return;
  try {
    file_->append(buffer_);
  } catch (const core::Error& error) {
    problem_ = error.what();
  }
  buffer_.clear();
}

void Trace::close() {
  const std::scoped_lock lock(mutex_);
  if (closed_) return;
  closed_ = true;
  const auto label = fmt::format("{} events, {} dropped", events_, dropped_);
  buffer_ += metadata("process_labels", rank_, 0, "labels", label) + "\n]\n";
  flush();
}

std::string Trace::problem() const {
  const std::scoped_lock lock(mutex_);
  return problem_;
}

}  // namespace rw::metrics
