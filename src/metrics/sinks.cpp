// Part of Ropewalk, MIT licence.
#include "metrics/sinks.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "core/json_reader.h"
#include "core/random_name.h"
#include "metrics/append_file.h"

namespace rw::metrics {
namespace {

/// The shortest text that reads back to the same double.
std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

/// 9 significant digits: any f32 reads back to the same bits.
std::string f32_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.9g}", static_cast<float>(value)) : "null";
}

/// True when the line is one whole record of a step up to `last_step`.
bool keeps(std::string_view line, std::int64_t last_step) {
  const auto json = core::parse_json_if_whole(line);
  if (!json || !json->is_object()) return false;
  const auto step = json->find("step");
  return step != json->end() && step->is_number_integer() && step->get<std::int64_t>() <= last_step;
}

std::string cut(std::string_view text, std::int64_t last_step) {
  std::string kept;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    if (keeps(line, last_step)) kept.append(line).push_back('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return kept;
}

/// What jobs left that died while they cut: the run's lock says that none of them lives.
void remove_left_behind(const std::string& path) {
  const std::filesystem::path target(path);
  const std::string front = target.filename().string() + ".part-";
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(target.parent_path(), code)) {
    if (entry.path().filename().string().rfind(front, 0) != 0) continue;
    std::filesystem::remove(entry.path(), code);
  }
}

void cut_file(const std::string& path, std::int64_t last_step) {
  const std::string before = read_text(path);
  const std::string after = cut(before, last_step);
  if (after == before) return;
  const std::string aside = path + ".part-" + core::random_name();
  remove_left_behind(path);
  AppendFile file(aside, AppendFile::Start::kMustBeNew);
  file.append(after);
  file.sync();
  std::error_code code;
  std::filesystem::rename(aside, path, code);
  if (code) {
    throw core::Error(core::ErrorKind::kStorage,
                      fmt::format("{}: rename from {}: {}", path, aside, code.message()));
  }
}

class Jsonl : public Sink {
 public:
  Jsonl(const std::string& path, AppendFile::Start start) : file_(path, start) {}
  void write(const StepRecord& record) override { file_.append(json_line(record) + "\n"); }

 private:
  AppendFile file_;
};

}  // namespace

std::string json_line(const StepRecord& r) {
  const std::string formula = r.flops_formula.empty() ? "null" : core::Json(r.flops_formula).dump();
  std::string line = fmt::format(
      R"({{"step": {}, "loss": {}, "grad_norm": {}, "lr": {}, "tokens": {}, "tokens_per_s": {}, )"
      R"("step_ms": {}, "mfu": {}, "flops_formula": {}, "bubble_pct": {}, )"
      R"("bubble_pct_planned": {}, "comm_exposed_ms": {}, "data_wait_ms": {}, )"
      R"("ckpt_blocked_ms": {}, "mem_peak_bytes": {}, "mem_model_peak_bytes": {})",
      r.step, f32_number(r.loss), f32_number(r.grad_norm), number(r.lr), r.tokens,
      number(r.tokens_per_s), number(r.step_ms), r.mfu ? number(*r.mfu) : "null", formula,
      number(r.bubble_pct), number(r.bubble_pct_planned), number(r.comm_exposed_ms),
      number(r.data_wait_ms), number(r.ckpt_blocked_ms), r.mem_peak_bytes, r.mem_model_peak_bytes);
  if (r.validation_loss) {
    line += fmt::format(R"(, "validation_loss": {})", f32_number(*r.validation_loss));
  }
  return line + "}";
}

std::unique_ptr<Sink> make_jsonl(const std::string& path, std::int64_t cut_after_step) {
  if (cut_after_step < 0) return std::make_unique<Jsonl>(path, AppendFile::Start::kEmpty);
  cut_file(path, cut_after_step);
  return std::make_unique<Jsonl>(path, AppendFile::Start::kAtEnd);
}

}  // namespace rw::metrics
