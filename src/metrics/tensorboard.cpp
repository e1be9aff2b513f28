// Part of Ropewalk, MIT licence.
#include "metrics/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>

#include "metrics/append_file.h"
#include "metrics/sinks.h"
#include "metrics/timer.h"
#include "proto/tensorboard.pb.h"

namespace rw::metrics {
namespace {

namespace pb = proto::tensorboard;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[byte] = crc;
  }
  return table;
}

constexpr auto kCrcTable = make_crc_table();

template <class Word>
void append_little_endian(std::string& out, Word word) {
  for (std::size_t byte = 0; byte < sizeof(Word); ++byte) {
    out.push_back(static_cast<char>((word >> (8 * byte)) & 0xffU));
  }
}

void add_scalar(pb::Summary& summary, const char* tag, double value) {
  auto* entry = summary.add_value();
  entry->set_tag(tag);
  entry->set_simple_value(static_cast<float>(value));
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "host";
}

/// The first name of this second, host and process that is not taken; readers take the files of a
/// folder in order of names.
std::string new_path(const std::string& folder, double wall) {
  for (int number = 0;; ++number) {
    const auto path = std::filesystem::path(folder) /
                      fmt::format("events.out.tfevents.{:010d}.{}.{}.{}",
                                  static_cast<std::int64_t>(wall), host_name(), ::getpid(), number);
    if (!std::filesystem::exists(path)) return path.string();
  }
}

class Tensorboard : public Sink {
 public:
  Tensorboard(const std::string& folder, std::int64_t first_step)
      : file_(new_path(folder, wall_s()), AppendFile::Start::kMustBeNew) {
    file_.append(tfrecord(version_event(wall_s())));
    file_.append(tfrecord(session_start_event(wall_s(), first_step)));
  }
  void write(const StepRecord& record) override {
    file_.append(tfrecord(scalars_event(wall_s(), record)));
  }

 private:
  AppendFile file_;
};

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xffU];
  }
  return crc ^ 0xffffffffU;
}

std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

std::string tfrecord(std::string_view data) {
  std::string out;
  append_little_endian(out, std::uint64_t{data.size()});
  append_little_endian(out, masked_crc32c(out));
  out.append(data);
  append_little_endian(out, masked_crc32c(data));
  return out;
}

std::string version_event(double wall) {
  pb::Event event;
  event.set_wall_time(wall);
  event.set_file_version("brain.Event:2");
  return event.SerializeAsString();
}

std::string session_start_event(double wall, std::int64_t first_step) {
  pb::Event event;
  event.set_wall_time(wall);
  event.set_step(first_step);
  event.mutable_session_log()->set_status(pb::SessionLog::START);
  return event.SerializeAsString();
}

std::string scalars_event(double wall, const StepRecord& record) {
  pb::Event event;
  event.set_wall_time(wall);
  event.set_step(record.step);
  auto& summary = *event.mutable_summary();
  add_scalar(summary, "loss", record.loss);
  add_scalar(summary, "grad_norm", record.grad_norm);
  add_scalar(summary, "lr", record.lr);
  add_scalar(summary, "tokens_per_s", record.tokens_per_s);
  add_scalar(summary, "step_ms", record.step_ms);
  if (record.mfu) add_scalar(summary, "mfu", *record.mfu);
  add_scalar(summary, "bubble_pct", record.bubble_pct);
  add_scalar(summary, "bubble_pct_planned", record.bubble_pct_planned);
  add_scalar(summary, "comm_exposed_ms", record.comm_exposed_ms);
  add_scalar(summary, "data_wait_ms", record.data_wait_ms);
  add_scalar(summary, "ckpt_blocked_ms", record.ckpt_blocked_ms);
  add_scalar(summary, "mem_peak_bytes", static_cast<double>(record.mem_peak_bytes));
  add_scalar(summary, "mem_model_peak_bytes", static_cast<double>(record.mem_model_peak_bytes));
  if (record.validation_loss) add_scalar(summary, "validation_loss", *record.validation_loss);
  return event.SerializeAsString();
}

std::unique_ptr<Sink> make_tensorboard(const std::string& folder, std::int64_t first_step) {
  return std::make_unique<Tensorboard>(folder, first_step);
}

}  // namespace rw::metrics
