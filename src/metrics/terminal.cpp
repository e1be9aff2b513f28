// Part of Ropewalk, MIT licence.
#include "metrics/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "metrics/sinks.h"

namespace rw::metrics {
namespace {

constexpr const char* kDim = "\033[2m";
constexpr const char* kBold = "\033[1m";
constexpr const char* kReset = "\033[0m";
constexpr const char* kClearLine = "\r\033[K";
constexpr std::int64_t kBarWidth = 40;
constexpr double kSmoothing = 0.9;  // of the step time that the ETA uses

/// `digits` decimals, or an exponent where that would be too wide.
std::string fixed(double value, int digits) {
  if (std::abs(value) < 1e5) return fmt::format("{:.{}f}", value, digits);
  return fmt::format("{:.2e}", value);
}

class Terminal : public Sink {
 public:
  Terminal(std::int64_t max_steps, const TerminalOptions& options)
      : max_steps_(max_steps), options_(options) {}
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() override {
    if (bar_shown_) put(kClearLine);
  }
  void write(const StepRecord& record) override {
    const double ms = record.step_ms + record.ckpt_blocked_ms;
    mean_ms_ = mean_ms_ < 0 ? ms : kSmoothing * mean_ms_ + (1 - kSmoothing) * ms;
    const double eta_s = static_cast<double>(max_steps_ - record.step) * mean_ms_ / 1e3;
    std::string text = bar_shown_ ? kClearLine : "";
    text += step_line(record, max_steps_, eta_s, options_.colour) + "\n";
    bar_shown_ = options_.bar && record.step < max_steps_;
    if (bar_shown_) text += progress_bar(record.step, max_steps_);
    put(text);
  }

 private:
  void put(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), options_.out);
    std::fflush(options_.out);
  }
  std::int64_t max_steps_;
  TerminalOptions options_;
  double mean_ms_ = -1;  // < 0: none yet
  bool bar_shown_ = false;
};

/// One word of the step line.
struct Word {
  const char* name;
  std::string value;
  bool strong = false;
};

constexpr std::size_t kMostColumns = 120;

std::string line_of(const std::vector<Word>& words, bool colour) {
  std::string out;
  for (const Word& word : words) {
    if (!out.empty()) out += " ";
    out += colour ? fmt::format("{}{}{} {}{}{}", kDim, word.name, kReset, word.strong ? kBold : "",
                                word.value, word.strong ? kReset : "")
                  : fmt::format("{} {}", word.name, word.value);
  }
  return out;
}

}  // namespace

std::string short_count(double count) {
  constexpr double kTop = 999.95;  // from here on one decimal would round up to 1000.0
  if (count < 999.5) return fmt::format("{:.0f}", count);
  if (count / 1e3 < kTop) return fmt::format("{:.1f}k", count / 1e3);
  if (count / 1e6 < kTop) return fmt::format("{:.1f}M", count / 1e6);
  return fmt::format("{:.1f}G", count / 1e9);
}

std::string short_time(double seconds) {
  const auto total = static_cast<std::int64_t>(std::lround(std::clamp(seconds, 0.0, 8.64e8)));
  if (total < 60) return fmt::format("{}s", total);
  const std::int64_t minutes = (total + 30) / 60;
  if (minutes < 60) return fmt::format("{}m", minutes);
  if (minutes < 24 * 60) return fmt::format("{}h{:02d}m", minutes / 60, minutes % 60);
  const std::int64_t hours = (minutes + 30) / 60;
  return fmt::format("{}d{:02d}h", hours / 24, hours % 24);
}

std::string progress_bar(std::int64_t step, std::int64_t max_steps) {
  const std::int64_t whole = std::max<std::int64_t>(max_steps, 1);
  const std::int64_t done = std::clamp<std::int64_t>(step, 0, whole);
  const auto full = static_cast<std::size_t>(done * kBarWidth / whole);
  return fmt::format("[{}{}] {}%", std::string(full, '#'),
                     std::string(static_cast<std::size_t>(kBarWidth) - full, '-'),
                     done * 100 / whole);
}

std::string step_line(const StepRecord& record, std::int64_t max_steps, double eta_s, bool colour) {
  const double total_ms = record.step_ms + record.ckpt_blocked_ms;
  const double ckpt_pct = total_ms > 0 ? 100 * record.ckpt_blocked_ms / total_ms : 0;
  std::vector<Word> words{{"step", fmt::format("{}/{}", record.step, max_steps)},
                          {"loss", fixed(record.loss, 4), true}};
  if (record.validation_loss) words.push_back({"val", fixed(*record.validation_loss, 4), true});
  words.push_back({"gnorm", fixed(record.grad_norm, 2)});
  words.push_back({"lr", fmt::format("{:.1e}", record.lr)});
  words.push_back({"tok/s", short_count(record.tokens_per_s)});
  if (record.mfu) words.push_back({"mfu", fmt::format("{:.1f}%", 100 * *record.mfu)});
  words.push_back({"bubble", fmt::format("{:.1f}%", record.bubble_pct)});
  words.push_back({"ckpt", fmt::format("{:.1f}%", ckpt_pct)});
  words.push_back({"eta", short_time(eta_s)});
  for (const std::string_view spare : {"ckpt", "bubble", "mfu"}) {  // a line too long does without
    if (line_of(words, false).size() < kMostColumns) break;
    std::erase_if(words, [&](const Word& word) { return spare == word.name; });
  }
  return line_of(words, colour);
}

std::unique_ptr<Sink> make_terminal(std::int64_t max_steps, const TerminalOptions& options) {
  return std::make_unique<Terminal>(max_steps, options);
}

}  // namespace rw::metrics
