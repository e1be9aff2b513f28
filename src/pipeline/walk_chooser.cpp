// Part of Ropewalk, MIT licence.
#include "pipeline/walk_chooser.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "core/error.h"

namespace rw::pipeline {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

constexpr double kNever = std::numeric_limits<double>::infinity();

class ListScheduler {
 public:
  ListScheduler(const Paths& paths, const WalkCosts& costs)
      : paths_(paths), costs_(costs), free_(costs.forward_s.size(), 0), ready_(paths.size(), 0) {
    for (std::size_t node = 0; node < free_.size(); ++node) {
      if (costs.memory.at(node) < 1) {
        throw core::Error(core::ErrorKind::kRecipe,
                          fmt::format("node {}: got memory for {} micro-batches; want at least 1",
                                      node, costs.memory[node]));
      }
      slots_.emplace_back(at(costs.memory[node]), 0);
      least_.push_back(0);
    }
    for (const auto& nodes : paths) {
      walks_.push_back({nodes, {}});
      held_.emplace_back(nodes.size(), 0);
    }
  }

  std::vector<Walk> run() {
    while (true) {
      Next best;
      for (std::size_t m = 0; m < walks_.size(); ++m) {
        const Next one = next_of(m);
        if (one.begin < kNever && (best.begin == kNever || one < best)) best = one;
      }
      if (best.begin == kNever) break;
      take(best);
    }
    return std::move(walks_);
  }

 private:
  /// The next operation of a micro-batch; ordered by who goes first.
  struct Next {
    double begin = kNever;
    bool forward = false;
    std::size_t micro_batch = 0;
    bool operator<(const Next& other) const {
      return std::tuple(begin, forward, micro_batch) <
             std::tuple(other.begin, other.forward, other.micro_batch);
    }
  };
  std::size_t done(std::size_t m) const { return walks_[m].starts.size(); }
  /// Station of the path that operation `i` of a micro-batch runs on.
  std::size_t station(std::size_t m, std::size_t i) const {
    const std::size_t length = paths_[m].size();
    if (i == length) return 0;  // the loss
    return i < length ? i : 2 * length - i;
  }
  std::size_t node(std::size_t m, std::size_t i) const { return at(paths_[m][station(m, i)]); }
  Next next_of(std::size_t m) {
    const std::size_t i = done(m);
    const std::size_t length = paths_[m].size();
    if (i == 2 * length + 1) return {};
    const std::size_t here = node(m, i);
    Next out{std::max(ready_[m], free_[here]), i < length, m};
    if (out.forward) {
      out.begin = std::max(out.begin, least_[here]);
    }
    return out;
  }

  double length_of(std::size_t m, std::size_t i) const {
    const double forward = costs_.forward_s[node(m, i)];
    const std::size_t length = paths_[m].size();
    if (i == length) return costs_.loss_factor * forward;
    return i < length ? forward : costs_.backward_factor * forward;
  }

  void take(const Next& next) {
    const std::size_t m = next.micro_batch;
    const std::size_t i = done(m);
    const std::size_t length = paths_[m].size();
    const std::size_t here = node(m, i);
    const double end = next.begin + length_of(m, i);
    auto& slots = slots_[here];
    if (i < length) {
      const auto slot = std::min_element(slots.begin(), slots.end());
      held_[m][i] = static_cast<std::size_t>(slot - slots.begin());
      *slot = kNever;
    } else if (i > length) {
      slots[held_[m][station(m, i)]] = end;
    }
    least_[here] = *std::min_element(slots.begin(), slots.end());
    free_[here] = end;
    walks_[m].starts.push_back(next.begin);
    if (i + 1 <= 2 * length) ready_[m] = end + costs_.transfer_s[here][node(m, i + 1)];
  }

  const Paths& paths_;
  const WalkCosts& costs_;
  std::vector<Walk> walks_;
  std::vector<double> free_;                    // per node
  std::vector<double> ready_;                   // per micro-batch: when its next input is there
  std::vector<std::vector<double>> slots_;      // per node: when each place in memory is free
  std::vector<double> least_;                   // of each node's slots
  std::vector<std::vector<std::size_t>> held_;  // per micro-batch and station: its slot
};

}  // namespace

std::vector<std::vector<int>> spread_stages(const Problem& problem) {
  std::vector<std::vector<int>> out(at(problem.pp));
  for (int stage = 0; stage < problem.pp; ++stage) {
    for (int replica = 0; replica < problem.dp; ++replica) {
      out[at(stage)].push_back(replica * problem.pp + stage);
    }
  }
  return out;
}

Paths choose_paths(const Problem& problem, int path_length, int turn) {
  const int others = problem.pp - 1;
  std::vector<int> visits(at(problem.pp), 0);
  Paths out;
  int first = others > 0 ? turn * (path_length - 1) % others : 0;  // of the window
  for (int m = 0; m < problem.micro_batches; ++m) {
    std::vector<bool> visited(at(problem.pp), false);
    for (int i = 0; i + 1 < path_length; ++i) visited[at(1 + (first + i) % others)] = true;
    if (others > 0) first = (first + path_length - 1) % others;
    auto& path = out.emplace_back();
    path.push_back(m % problem.dp * problem.pp);
    for (int stage = 1; stage < problem.pp; ++stage) {
      if (!visited[at(stage)]) continue;
      path.push_back(visits[at(stage)]++ % problem.dp * problem.pp + stage);
    }
  }
  return out;
}

Walks schedule_walks(std::vector<std::vector<int>> arrangement, const Paths& paths,
                     const WalkCosts& costs) {
  return {std::move(arrangement), ListScheduler(paths, costs).run()};
}

}  // namespace rw::pipeline
