// Part of Ropewalk, MIT licence.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "planner/problem.h"

namespace rw::planner {

namespace {

/// Most visits that one path can make of the stages >= 1 given what is left of their quotas, as a
/// choice of stages in rising order that keeps max_jump; the largest sum of what is left.
List<int> best_stages(const Problem& p, const List<int>& left) {
  const int stages = p.stages();
  const int steps = p.path_length - 1;
  constexpr std::int64_t kNone = -1;
  // value[k][s]: best sum with k stages, the last of them s; stage 0 after none.
  auto value = filled(steps + 1, filled(stages, kNone));
  auto from = filled(steps + 1, filled(stages, 0));
  value[0][0] = 0;
  for (int k = 1; k <= steps; ++k) {
    for (int s = k; s < stages; ++s) {
      if (left[s] == 0) continue;
      for (int before = std::max(0, s - p.rules.max_jump); before < s; ++before) {
        if (value[k - 1][before] == kNone || value[k - 1][before] + left[s] <= value[k][s])
          continue;
        value[k][s] = value[k - 1][before] + left[s];
        from[k][s] = before;
      }
    }
  }
  const auto& last = value[steps];
  int s = static_cast<int>(std::max_element(last.begin(), last.end()) - last.begin());
  if (last[s] == kNone) return {};
  List<int> out;
  for (int k = steps; k > 0; --k) {
    out.push_back(s);
    s = from[k][s];
  }
  std::reverse(out.begin(), out.end());
  return out;
}

/// One after the other, each where most is left: stages are used evenly, but the last ones may find no path.
List<List<int>> evenly(const Problem& problem, int walks, List<int> left) {
  List<List<int>> out;
  for (int i = 0; i < walks; ++i) {
    out.push_back(best_stages(problem, left));
    if (out.back().empty() && problem.path_length > 1) return {};
    for (const int stage : out.back()) --left[stage];
  }
  return out;
}

/// All walks at once, stage by stage: which of them visit it. Walks that have made as many visits and made the
/// last one on the same stage are alike, so what is left to decide depends on their numbers alone; numbers that
/// led nowhere are remembered. Exact, unless it takes too long.
class Sweep {
 public:
  Sweep(const Problem& problem, int walks, const List<int>& left)
      : jump_(problem.rules.max_jump), visits_(problem.path_length - 1), left_(left) {
    out_.resize(static_cast<std::size_t>(walks));
    for (int walk = 0; walk < walks; ++walk) open_[{0, 0}].push_back(walk);
    rest_ = filled(left.count() + 1, std::int64_t{0});
    for (int stage = left.count() - 1; stage > 0; --stage) {
      rest_[stage] = rest_[stage + 1] + std::min(left[stage], walks);
    }
  }
  /// Empty when there is none, or none was found in time or for so many stages.
  List<List<int>> walks() {
    if (visits_ == 0) return out_;
    return left_.count() <= kMostStages && decide(1) ? out_ : List<List<int>>{};
  }

 private:
  using Kind =
      std::pair<int, int>;  // the last stage, and minus the visits: who must go on first is first
  using Open = std::map<Kind, List<int>>;
  static constexpr int kMostTries = 20'000;
  static constexpr int kMostStages = 128;  // it calls itself for each

  int owed(const Kind& kind) const { return visits_ + kind.second; }
  /// Whether a walk of this kind has to visit `stage`: the next one is too far, or there are too few.
  bool must(const Kind& kind, int stage) const {
    return kind.first + jump_ == stage || owed(kind) == left_.count() - stage;
  }
  bool decide(int stage) {
    if (open_.empty()) return true;
    if (stage == left_.count() || ++tries_ > kMostTries) return false;
    List<int> state{stage};
    std::int64_t all = 0;
    int forced = 0;
    for (const auto& [kind, walks] : open_) {
      state.insert(state.end(), {kind.first, kind.second, walks.count()});
      all += std::int64_t{owed(kind)} * walks.count();
      if (must(kind, stage)) forced += walks.count();
      if (owed(kind) > left_.count() - stage) return false;
    }
    if (all > rest_[stage] || forced > left_[stage] || failed_.contains(state)) return false;
    const Open before = open_;
    if (choose(before, before.begin(), left_[stage] - forced, stage)) return true;
    open_ = before;
    failed_.insert(std::move(state));
    return false;
  }
  /// How many of the kind at `at` and of those behind it visit the stage, `free` at most besides those that
  /// must; as many as can be first.
  bool choose(const Open& before, Open::const_iterator at, int free, int stage) {
    if (at == before.end()) return decide(stage + 1);
    const auto& [kind, walks] = *at;
    const bool forced = must(kind, stage);
    const int least = forced ? walks.count() : 0;
    for (int go = forced ? least : std::min(free, walks.count()); go >= least; --go) {
      const Open here = open_;
      advance(kind, go, stage);
      if (choose(before, std::next(at), forced ? free : free - go, stage)) return true;
      for (int i = 0; i < go; ++i) out_[walks[i]].pop_back();
      open_ = here;
    }
    return false;
  }
  /// The first `go` walks of a kind visit the stage.
  void advance(const Kind& kind, int go, int stage) {
    if (go == 0) return;
    const auto found = open_.find(kind);
    List<int> stay(found->second.begin() + go, found->second.end());
    found->second.resize(static_cast<std::size_t>(go));
    for (const int walk : found->second) out_[walk].push_back(stage);
    if (owed(kind) > 1) open_[{stage, kind.second - 1}] = std::move(found->second);
    open_.erase(found);
    if (!stay.empty()) open_[kind] = std::move(stay);
  }

  int jump_, visits_;
  List<int> left_;
  List<std::int64_t> rest_;  // visits that this stage and those behind it take
  Open open_;
  List<List<int>> out_;
  std::set<List<int>> failed_;
  int tries_ = 0;
};

}  // namespace

List<List<int>> shared_stages(const Problem& problem, Track track) {
  auto left = filled(problem.stages(), problem.rules.stage_quota);
  int walks = problem.micro_batches();
  if (track == Track::kStrict) {
    const int slots = strict_slots(problem);
    const int waves = problem.micro_batches_per_source / slots;
    walks /= waves;
    for (int stage = 0; stage < problem.stages(); ++stage) {
      left[stage] = std::min(left[stage] / waves, problem.stage_sizes[stage] * slots);
    }
  }
  auto out = evenly(problem, walks, left);
  return out.empty() ? Sweep(problem, walks, left).walks() : out;
}

}  // namespace rw::planner
