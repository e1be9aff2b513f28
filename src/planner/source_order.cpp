// Part of Ropewalk, MIT licence.
#include "planner/source_order.h"

#include <algorithm>
#include <array>
#include <limits>

#include "planner/list.h"

namespace rw::planner {
namespace {

constexpr int kMostSteps = 200'000;
constexpr int kMostMicroBatches = 1000;  // one call deep for each of their operations

class Search {
 public:
  Search(const SourceWork& work, double floor)
      : w_(work),
        floor_(floor),
        forwards_(static_cast<std::size_t>(work.micro_batches)),
        losses_(forwards_.size()),
        backwards_(forwards_.size()) {}

  double end() {
    go_on(0, 0, 0, 0);
    return steps_ < kMostSteps ? std::max(floor_, best_) : floor_;
  }

 private:
  enum class Kind : char { kForward, kLoss, kBackward };
  struct Choice {
    double start;
    Kind kind;
  };

  /// f forwards, l losses and b backwards have been put in order; the node is free from `free` on.
  void go_on(int f, int l, int b, double free) {
    const int n = w_.micro_batches;
    if (b == n) {
      best_ = std::min(best_, backwards_.back());
      return;
    }
    if (best_ <= floor_ || ++steps_ >= kMostSteps) return;
    const double left = (n - f) * (w_.forward_s + w_.gap_forward_s) +
                        (n - l) * (w_.loss_s + w_.gap_s) + (n - b) * (w_.backward_s + w_.gap_s);
    if (free + left - w_.gap_s >= best_) return;
    std::array<Choice, 3> choices;
    std::size_t count = 0;
    if (b < l) {
      const double trip = forwards_[b] - w_.forward_s + w_.trip_s - w_.backward_s;
      choices[count++] = {std::max({free, losses_[b] + w_.back_s, trip}), Kind::kBackward};
    }
    if (l < f) choices[count++] = {std::max(free, forwards_[l] + w_.out_s), Kind::kLoss};
    if (f < n && f < b + w_.memory) choices[count++] = {free, Kind::kForward};
    std::stable_sort(choices.begin(), choices.begin() + static_cast<std::ptrdiff_t>(count),
                     [](const Choice& x, const Choice& y) { return x.start < y.start; });
    for (std::size_t i = 0; i < count; ++i) {
      const auto [start, kind] = choices[i];
      if (kind == Kind::kForward) {
        forwards_[f] = start + w_.forward_s;
        go_on(f + 1, l, b, forwards_[f] + w_.gap_forward_s);
      } else if (kind == Kind::kLoss) {
        losses_[l] = start + w_.loss_s;
        go_on(f, l + 1, b, losses_[l] + w_.gap_s);
      } else {
        backwards_[b] = start + w_.backward_s;
        go_on(f, l, b + 1, backwards_[b] + w_.gap_s);
      }
    }
  }

  const SourceWork& w_;
  const double floor_;
  List<double> forwards_, losses_, backwards_;  // ends, in their order
  double best_ = std::numeric_limits<double>::infinity();
  int steps_ = 0;
};

}  // namespace

double source_order_end(const SourceWork& work, double floor) {
  return work.micro_batches > kMostMicroBatches ? floor : Search(work, floor).end();
}

}  // namespace rw::planner
