// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "metrics/report.h"

namespace rw::metrics {
namespace {

constexpr double kWidth = 960;
constexpr double kLeft = 64;  // of the drawing, for labels
constexpr double kRight = 12;
constexpr std::size_t kMostPoints = 2000;  // of a curve

/// A linear scale from [low, high] to pixels.
struct Scale {
  double low = 0, high = 1;
  double from = 0, to = 1;
  double operator()(double x) const {
    if (!(high > low)) return from;
    const double whole = high - low;  // infinite between the largest numbers
    const double share =
        std::isfinite(whole) ? (x - low) / whole : (x / 2 - low / 2) / (high / 2 - low / 2);
    return from + share * (to - from);
  }
};

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return fmt::format(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>)", x1,
                     y1, x2, y2, colour);
}

std::string text(double x, double y, const char* anchor, const std::string& what) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x, y, anchor,
                     html_text(what));
}

std::string open_svg(double height, const char* label) {
  return fmt::format(R"(<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">)", kWidth,
                     height, label);
}

/// At most about `most` of the points, evenly, the last one always.
std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& all,
                                               std::size_t most) {
  const std::size_t every = std::max<std::size_t>(1, all.size() / most);
  std::vector<std::pair<double, double>> out;
  for (std::size_t i = 0; i < all.size(); i += every) out.push_back(all[i]);
  if (!all.empty() && out.back() != all.back()) out.push_back(all.back());
  return out;
}

/// How an operation is drawn.
struct Look {
  const char* letter;
  const char* colour;
};

Look look_of(const std::string& name) {
  static const std::map<std::string, Look> kLooks{
      {"forward", {"F", "#7aa7d9"}},        {"backward", {"B", "#6fb58a"}},
      {"backward_input", {"B", "#8fc9a4"}}, {"backward_weight", {"W", "#c9dfb0"}},
      {"loss", {"L", "#d9957a"}},           {"loss_backward", {"L", "#e6b9a6"}},
      {"reduce", {"R", "#d9b36a"}}};
  const auto found = kLooks.find(name);
  return found == kLooks.end() ? Look{"?", "#c5ced8"} : found->second;
}

constexpr double kRow = 15;
constexpr double kBar = 13;

class TimelineDrawing {
 public:
  explicit TimelineDrawing(const StepTimeline& timeline) : timeline_(timeline) {
    for (const RankTimeline& rank : timeline.ranks) {
      scale_.high = std::max(scale_.high, rank.elapsed_s);
      for (const TimelineOperation& op : rank.operations) {
        scale_.high = std::max({scale_.high, op.end_s, op.predicted_end_s});
        predicted_ = predicted_ || op.predicted_end_s >= 0;
      }
    }
  }

  std::string draw() {
    const double per_rank = (predicted_ ? 2 : 1) * kRow + 6;
    const double bottom = per_rank * static_cast<double>(timeline_.ranks.size()) + 4;
    std::string out = open_svg(bottom + 22, "timeline of one step");
    out += R"(<defs><pattern id="wait" width="5" height="5" patternUnits="userSpaceOnUse" )"
           R"svg(patternTransform="rotate(45)"><rect width="5" height="5" fill="#fbeeee"/>)svg"
           R"(<line x1="0" y1="0" x2="0" y2="5" stroke="#e2a6a6"/></pattern></defs>)";
    for (const double tick : round_ticks(0, scale_.high, 8)) {
      out += line(scale_(tick), 0, scale_(tick), bottom, "#edf1f5");
      out += text(scale_(tick), bottom + 15, "middle", time_text(tick));
    }
    for (std::size_t rank = 0; rank < timeline_.ranks.size(); ++rank) {
      const double top = per_rank * static_cast<double>(rank) + 4;
      out += text(kLeft - 6, top + (predicted_ ? kRow : kRow / 2) + 4, "end",
                  fmt::format("rank {}", rank));
      out += rows(timeline_.ranks[rank], top);
    }
    return out + "</svg>";
  }

 private:
  /// "forward of micro-batch 3"; a reduce is of none.
  static std::string subject(const std::string& what, int micro_batch) {
    return micro_batch < 0 ? what : fmt::format("{} of micro-batch {}", what, micro_batch);
  }

  std::string rows(const RankTimeline& rank, double top) {
    std::string out;
    const double measured = top + (predicted_ ? kRow : 0);
    const auto add_waits = [&](bool within) {  // a forward
      for (const TimelineWait& wait : rank.waits) {
        if ((wait.what == "values") != within) continue;
        out += bar(wait.begin_s, wait.end_s, measured, "url(#wait)", "",
                   fmt::format("waits for {}: {}, {}",
                               wait.rank < 0 ? "its replicas" : fmt::format("rank {}", wait.rank),
                               subject(wait.what, wait.micro_batch),
                               time_text(wait.end_s - wait.begin_s)));
      }
    };
    add_waits(false);
    for (const TimelineOperation& op : rank.operations) {
      const Look look = look_of(op.name);
      const std::string label =
          op.micro_batch < 0 ? look.letter : fmt::format("{}{}", look.letter, op.micro_batch);
      const auto title = [&](const char* which, double begin, double end) {
        return fmt::format("{}, {}, stage {}: {} to {} ({})", which,
                           subject(op.name, op.micro_batch), op.stage, time_text(begin),
                           time_text(end), time_text(end - begin));
      };
      out += bar(op.begin_s, op.end_s, measured, look.colour, label,
                 title("measured", op.begin_s, op.end_s));
      if (op.predicted_end_s < 0 || op.name == "reduce") continue;
      out += bar(op.predicted_begin_s, op.predicted_end_s, top, look.colour, label,
                 title("planned", op.predicted_begin_s, op.predicted_end_s), 0.55);
    }
    add_waits(true);
    return out;
  }

  std::string bar(double begin, double end, double y, const char* fill, const std::string& label,
                  const std::string& title, double opacity = 1) const {
    const double x = scale_(begin);
    const double width = std::max(0.4, scale_(end) - x);
    std::string out = fmt::format(
        R"(<g><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" fill="{}" )"
        R"(opacity="{}"/>)",
        html_text(title), x, y, width, kBar, fill, opacity);
    if (width > 7.0 * static_cast<double>(label.size()) && !label.empty()) {
      out += text(x + width / 2, y + kBar - 3, "middle", label);
    }
    return out + "</g>";
  }

  const StepTimeline& timeline_;
  bool predicted_ = false;
  Scale scale_{0, 1e-9, kLeft, kWidth - kRight};
};

}  // namespace

std::string loss_svg(const std::vector<ReportStep>& steps) {
  std::vector<std::pair<double, double>> loss;
  std::vector<std::pair<double, double>> validation;
  for (const ReportStep& step : steps) {
    const auto x = static_cast<double>(step.step);
    if (step.loss) loss.emplace_back(x, *step.loss);
    if (step.validation_loss) validation.emplace_back(x, *step.validation_loss);
  }
  if (loss.empty()) return "<p class=\"note\">No finite loss yet.</p>";
  constexpr double kBottom = 240;
  Scale x{loss.front().first, loss.front().first, kLeft, kWidth - kRight};
  Scale y{loss.front().second, loss.front().second, kBottom, 8};
  for (const auto* points : {&loss, &validation}) {
    for (const auto& point : *points) {
      x.low = std::min(x.low, point.first);
      x.high = std::max(x.high, point.first);
      y.low = std::min(y.low, point.second);
      y.high = std::max(y.high, point.second);
    }
  }
  std::string out = open_svg(kBottom + 24, "loss by step");
  for (const double tick : round_ticks(y.low, y.high, 5)) {
    out += line(kLeft, y(tick), kWidth - kRight, y(tick), "#edf1f5");
    out += text(kLeft - 6, y(tick) + 4, "end", fmt::format("{:.3g}", tick));
  }
  for (const double tick : round_ticks(x.low, x.high, 8)) {
    out += text(x(tick), kBottom + 16, "middle", fmt::format("{:g}", tick));
  }
  std::string path;
  for (const auto& [step, value] : thinned(loss, kMostPoints)) {
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : "L", x(step), y(value));
  }
  out += fmt::format(R"(<path d="{}" fill="none" stroke="#2f6db3" stroke-width="1.5"/>)", path);
  for (const auto& [step, value] : thinned(validation, kMostPoints)) {
    out += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="#c2662d"><title>validation )"
                       R"(loss {:.6g} after step {}</title></circle>)",
                       x(step), y(value), value, step);
  }
  return out + "</svg>";
}

std::string timeline_svg(const StepTimeline& timeline) { return TimelineDrawing(timeline).draw(); }

}  // namespace rw::metrics
