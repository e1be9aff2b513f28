// Part of Ropewalk, MIT licence.
#include "planner/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "planner/anneal.h"
#include "planner/bounds.h"
#include "planner/cycle.h"
#include "planner/outlook.h"
#include "planner/seeds.h"
#include "planner/under_cap.h"

namespace rw::planner {

using core::Error;
using core::ErrorKind;

namespace {

// Found by trial on the three samples (docs/log.md). Temperatures are shares of the cost.
constexpr double kMeanWeight = 0.05;
constexpr double kStartHot = 1e-1;  // a node may change its group
constexpr double kSeedHot = 5e-3;   // starts on arrangements with a good outlook
constexpr double kHot = 2e-3;       // orders and paths change, groups hardly
constexpr double kCold = 1e-4;
/// A part of a search on its schedules, the best of the round before or, in the first one, fresh ones, until
/// `until` of the search is used: they are cooled one after the other, or walk side by side.
struct Round {
  enum class Way : std::uint8_t { kCooled, kTempered };
  int schedules = 0;
  double until = 0;
  double hot = 0, cold = 0;
  Way way = Way::kCooled;
};
constexpr auto kTempered = Round::Way::kTempered;
/// On the free track the strict solution is looked for first, for `strict_share` of the limit; it is the
/// first start of the search that follows, cooled from `strict_hot`.
struct Course {
  double strict_share = 0;
  std::span<const Round> strict = {};
  double strict_hot = kHot;
  std::span<const Round> rounds;
};
constexpr Round kOneStart[] = {{1, 1, kStartHot, kCold}};
constexpr Round kFreeRounds[] = {
    {3, 0.6, kSeedHot, 5e-4}, {2, 0.93, 1.2e-3, 6e-4, kTempered}, {1, 1, 5e-4, kCold}};
// Where there is time for it: more starts, and one long walk of the best.
constexpr Round kLongRounds[] = {
    {8, 0.35, kSeedHot, 5e-4}, {1, 0.94, 8e-4, 8e-4, kTempered}, {1, 1, 5e-4, kCold}};
constexpr double kLongSeconds = 30;
constexpr std::int64_t kLongEvaluations = 20'000'000;
// Fewer good schedules: one start.
constexpr Round kStrictRounds[] = {
    {1, 0.25, 1.5e-2, 5e-4}, {1, 0.95, 9e-4, 7e-4, kTempered}, {1, 1, 5e-4, kCold}};
constexpr int kFewOperations = 64;  // few good arrangements, and each start is cheap
constexpr Round kFewRounds[] = {
    {12, 0.5, kStartHot, 5e-4}, {3, 0.93, 4e-3, 5e-4, kTempered}, {1, 1, 5e-4, kCold}};
// Of many operations seconds are few schedules: the strict solution, if any, is the only start.
constexpr int kManyOperations = 400;
constexpr Round kManyRounds[] = {
    {2, 0.5, kSeedHot, 4e-4}, {2, 0.95, 8e-4, 3e-4, kTempered}, {1, 1, 3e-4, kCold}};
constexpr Round kManyAfterStrict[] = {
    {1, 0.4, 5e-3, 4e-4}, {1, 0.8, 4e-4, 3e-4, kTempered}, {1, 1, 3e-4, kCold}};
constexpr double kReplanHot = 2e-2;  // a slower source wants other paths everywhere
constexpr double kReplanShare = 0.7;
// Exchanges that look for a start's arrangement: under the cap, then with a good outlook. Of the latter, so
// many for every second or schedule there is, but no more than are worth it nor than take 0.1 to 0.2 s.
constexpr int kSeedTries = 20000;
constexpr double kOutlookPerSecond = 300, kOutlookPerEvaluation = 4e-4;
constexpr double kOutlookMost = 10000, kOutlookSteps = 1e8;

/// How many exchanges are tried for the outlook of each start.
int outlook_tries(const Problem& p, const Limits& limits) {
  const double inner = p.size() - p.sources();
  // Of one exchange: eight rounds over half of the pairs of inner nodes.
  const double steps = 4 * inner * inner * p.sources() * (p.path_length - 1);
  const double wanted = limits.evaluations > 0
                            ? kOutlookPerEvaluation * static_cast<double>(limits.evaluations)
                            : kOutlookPerSecond * limits.time_s;
  return static_cast<int>(std::min({kOutlookMost, wanted, kOutlookSteps / std::max(1.0, steps)}));
}

/// Under the cap first, then the better objective.
bool better(const Schedule& one, const Schedule& other) {
  if (one.over_cap() != other.over_cap()) return one.over_cap() < other.over_cap();
  return one.goal() < other.goal();
}

/// One independent run of the search.
class Search {
 public:
  Search(const Problem& problem, const PlanOptions& options, const Coverage* coverage, double bound,
         int stream, std::int64_t evaluations)
      : problem_(problem),
        coverage_(coverage),
        dice_(options.seed, static_cast<std::uint32_t>(stream)),
        budget_(evaluations, options.limits.time_s, options.limits.elapsed_s),
        placement_(problem.arrangement.empty() ? Placement::kOpen : Placement::kFixed),
        outlook_tries_(outlook_tries(problem, options.limits)),
        long_(evaluations > 0 ? evaluations >= kLongEvaluations
                              : options.limits.time_s >= kLongSeconds) {
    if (stream == 0) budget_.report_to(options.limits.report);
    budget_.stop_at(bound);
    budget_.stop_when(options.limits.stop);
  }

  void plan(Track track) {
    bool walks = track == Track::kFree && strict_refusal(problem_).empty();
    if (has_cap(problem_)) {
      constexpr double kStrictCap = 0.2;  // of the limit, before the strict solution is given up
      if (walks && !find_under_cap(Track::kStrict, kStrictCap)) walks = false;
      if (!walks) find_under_cap(track, 1);
    }
    const Course course = course_of(track, walks);
    std::unique_ptr<Schedule> strict;
    if (walks) strict = best_of(course.strict, Track::kStrict, 0, course.strict_share, {});
    best_ =
        best_of(course.rounds, track, course.strict_share, 1, {strict.get(), course.strict_hot});
    if (walks && better(*strict, *best_)) best_ = in_free_track(*strict);
  }

  void go_on(const Draft& draft, Track track) {
    best_ = std::make_unique<Schedule>(problem_, track, draft, kMeanWeight, coverage_);
    anneal(*best_, dice_, Placement::kFixed, {kReplanHot, kCold, kReplanShare}, budget_);
    anneal(*best_, dice_, Placement::kFixed, {kHot, kCold, 1}, budget_);
  }

  const Schedule& best() const { return *best_; }
  /// The least that the largest reduction of an arrangement was, in seconds.
  double least_reduction() const { return std::min(least_reduction_, best_->max_reduction()); }
  std::int64_t evaluations() const { return budget_.evaluations(); }

 private:
  struct Start {
    const Schedule* strict = nullptr;
    double hot = 0;
  };
  /// The best of rounds between `begin` and `end` of the limit; the strict solution, where there is one, is
  /// the first start.
  std::unique_ptr<Schedule> best_of(std::span<const Round> rounds, Track track, double begin,
                                    double end, const Start& start) {
    List<std::unique_ptr<Schedule>> schedules;
    double from = begin;
    for (const Round& round : rounds) {
      const bool first = schedules.empty();
      const double to = begin + (end - begin) * round.until;
      if (!first) schedules.resize(std::min(schedules.size(), std::size_t(round.schedules)));
      if (round.way == Round::Way::kTempered) {
        temper(schedules, dice_, placement_, {round.hot, round.cold, to}, budget_);
        from = to;
        continue;
      }
      const int count = first ? round.schedules : schedules.count();
      const double each = (to - from) / count;
      for (int i = 0; i < count; ++i) {
        if (first && i > 0 && budget_.progress() >= to) break;
        if (first) schedules.push_back(fresh(i, start.strict, track));
        const bool is_strict = first && i == 0 && start.strict != nullptr;
        const double hot = is_strict ? start.hot : round.hot;
        anneal(*schedules[i], dice_, placement_,
               {heat(*schedules[i], hot), round.cold, from + each * (i + 1)}, budget_);
      }
      std::stable_sort(schedules.begin(), schedules.end(),
                       [](const auto& one, const auto& other) { return better(*one, *other); });
      from = to;
    }
    return std::move(schedules.front());
  }
  /// Whether starts of this track meet the cap, or an arrangement that does was found, which they then begin
  /// from, before `until` of the limit.
  bool find_under_cap(Track track, double until) {
    if (under_cap_ && track == Track::kFree) return true;
    Dice dice = dice_;  // a start as the search will draw it, when it meets the cap
    if (keeps_cap(problem_, seed_arrangement(problem_, track, dice, kSeedTries, 0))) return true;
    CapSearch search(problem_, may_be_sources(problem_, track), could_be_sources(problem_, track),
                     dice);
    bool found = false;
    while (!found && budget_.progress() < until && budget_.spend()) found = search.go_on();
    if (found) under_cap_ = search.best();
    least_reduction_ = std::min(least_reduction_, search.best_reduction());
    return found;
  }
  /// `walks`: the free track begins with the strict one.
  Course course_of(Track track, bool walks) const {
    const int operations = problem_.micro_batches() * problem_.operations_per_path();
    const bool many = operations > kManyOperations;
    if (operations <= kFewOperations) {
      return {.strict_share = walks ? 0.2 : 0, .strict = kOneStart, .rounds = kFewRounds};
    }
    if (track == Track::kStrict && many) return {.rounds = kManyRounds};
    if (track == Track::kStrict) return {.rounds = kStrictRounds};
    if (many && !walks) return {.rounds = kManyRounds};
    if (many) return {0.5, kManyRounds, kManyAfterStrict->hot, kManyAfterStrict};
    if (long_) {
      return {.strict_share = walks ? 0.1 : 0, .strict = kOneStart, .rounds = kLongRounds};
    }
    return {.strict_share = walks ? 0.2 : 0, .strict = kOneStart, .rounds = kFreeRounds};
  }
  /// `hot`, or as a start where nothing is left to be gained on its arrangement.
  double heat(const Schedule& schedule, double hot) const {
    if (placement_ == Placement::kFixed) return hot;
    const double bound = lower_bound(problem_, &schedule.arrangement());
    return schedule.goal() <= bound * (1 + 1e-9) ? kStartHot : hot;
  }
  /// The i-th start: from the strict solution where there is one, else from a random arrangement with a good
  /// outlook; for the objective iteration half of them come from cheap reductions, half from anywhere.
  std::unique_ptr<Schedule> fresh(int i, const Schedule* strict, Track track) {
    if (i == 0 && strict != nullptr) return in_free_track(*strict);
    const bool cheap = problem_.objective == Objective::kMakespan || i % 2 == 0;
    return seeded(track, cheap ? kSeedTries : 0);
  }
  /// On an arrangement that no start had, if a few draws find one.
  std::unique_ptr<Schedule> seeded(Track track, int tries) {
    constexpr int kDraws = 8;
    Arrangement arrangement = start_arrangement(track, tries, outlook_tries_);
    for (int i = 1; i < kDraws && !is_new(arrangement); ++i) {
      // Fewer exchanges: less alike.
      arrangement = start_arrangement(track, tries, outlook_tries_ / (2 * i));
    }
    return std::make_unique<Schedule>(problem_, track, seed_paths(problem_, track, arrangement),
                                      kMeanWeight, coverage_);
  }
  /// From a random one, or, where that does not meet the cap, from the one that was found to.
  Arrangement start_arrangement(Track track, int tries, int outlook_tries) {
    Arrangement out = seed_arrangement(problem_, track, dice_, tries, outlook_tries);
    if (!under_cap_ || keeps_cap(problem_, out)) return out;
    out = *under_cap_;
    if (outlook_tries > 0 && problem_.path_length > 1) {
      improve_outlook(problem_, could_be_sources(problem_, track), dice_, outlook_tries, out);
    }
    return out;
  }
  bool is_new(const Arrangement& arrangement) {
    List<int> stages;
    for (int node = 0; node < problem_.size(); ++node) stages.push_back(arrangement.stage_of(node));
    return started_.insert(std::move(stages)).second;
  }
  std::unique_ptr<Schedule> in_free_track(const Schedule& strict) const {
    return std::make_unique<Schedule>(
        problem_, Track::kFree, draft_of(problem_, solution_of(strict)), kMeanWeight, coverage_);
  }

  const Problem& problem_;
  const Coverage* coverage_;
  Dice dice_;
  Budget budget_;
  Placement placement_;
  int outlook_tries_;
  bool long_;
  std::optional<Arrangement> under_cap_;  // where starts do not meet it by themselves
  double least_reduction_ = Schedule::kNever;
  std::set<List<int>> started_;  // arrangements of starts: the stage of every node
  std::unique_ptr<Schedule> best_;
};

using Searches = List<std::unique_ptr<Search>>;

/// `threads` searches side by side, each on its share of the evaluations.
template <class Work>
Searches run_searches(const Problem& problem, const PlanOptions& options, const Coverage* coverage,
                      double bound, const Work& work) {
  const std::int64_t limit = options.limits.evaluations;
  Searches out;
  for (int i = 0; i < options.threads; ++i) {
    const std::int64_t share = limit / options.threads + (i < limit % options.threads ? 1 : 0);
    out.push_back(std::make_unique<Search>(problem, options, coverage, bound, i, share));
  }
  List<std::exception_ptr> failures(out.size());
  const auto guarded = [&](std::size_t i) {
    try {
      work(*out[i]);
    } catch (...) {
      failures[i] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;  // where one cannot be started, the others end first
    for (std::size_t i = 1; i < out.size(); ++i) threads.emplace_back(guarded, i);
    guarded(0);
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return out;
}

/// Throws where no arrangement can keep the cap.
void require_possible_cap(const Problem& problem) {
  if (!has_cap(problem)) return;
  const double least = least_largest_reduction(problem);
  if (least <= problem.reduction.max_s + kTolerance) return;
  throw Error(ErrorKind::kRecipe,
              named(problem, fmt::format("reduce.max_reduce_s: got a cap of {:.3f} s on the "
                                         "reduction of a stage, and it is proved that every "
                                         "arrangement has one of {:.3f} s or more; want a higher "
                                         "cap, other stage_sizes, or `objective: iteration`, "
                                         "which has none",
                                         problem.reduction.max_s, least)));
}

void require_cap(const Problem& problem, const Searches& searches, const std::string& effort) {
  double least = Schedule::kNever;
  for (const auto& search : searches) least = std::min(least, search->least_reduction());
  throw Error(
      ErrorKind::kRecipe,
      named(problem,
            fmt::format("reduce.max_reduce_s: got a cap of {:.3f} s on the reduction of a stage; "
                        "{} found no arrangement that keeps it, the best one takes {:.3f} s; more "
                        "time (--time-limit-s) or another --seed may find one; else try a cap of "
                        "{:.3f} s, other stage_sizes, or `objective: iteration`, which has none",
                        problem.reduction.max_s, effort, least, std::ceil(least * 1e3) / 1e3)));
}

Solution finish(const Problem& problem, const PlanOptions& options, const Searches& searches,
                double bound) {
  const Search* winner = searches.front().get();
  std::int64_t evaluations = 0;
  for (const auto& search : searches) {
    evaluations += search->evaluations();
    if (better(search->best(), winner->best())) winner = search.get();
  }
  if (winner->best().over_cap() > 0) {
    const std::string effort = options.limits.elapsed_s
                                   ? fmt::format("{:.1f} s of search ({} evaluations)",
                                                 options.limits.elapsed_s(), evaluations)
                                   : fmt::format("{} evaluations", evaluations);
    require_cap(problem, searches, effort);
  }
  Solution out = solution_of(winner->best());
  out.evaluations = evaluations;
  out.lower_bound_s = bound;
  if (bound > 0) {
    out.gap_percent = 100 * std::max(0.0, winner->best().objective() / bound - 1);
  }
  out.solve_s = options.limits.time_s > 0 ? options.limits.elapsed_s() : 0;
  return out;
}

void require_limits(const Problem& problem, const PlanOptions& options) {
  const Limits& limits = options.limits;
  const bool time = limits.time_s > 0 && limits.elapsed_s;
  if (options.threads < 1 || (limits.evaluations <= 0 && !time)) {
    throw Error(ErrorKind::kUsage, "plan: want at least one thread and one limit");
  }
  if (options.track == Track::kStrict) require_strict(problem);
}

}  // namespace

Solution plan_once(const Problem& problem, const PlanOptions& options, const Draft* start,
                   const Coverage* coverage) {
  if (start != nullptr) {
    const double bound = lower_bound(problem, &start->arrangement);
    const auto searches = run_searches(problem, options, coverage, bound, [&](Search& search) {
      search.go_on(*start, options.track);
    });
    return finish(problem, options, searches, bound);
  }
  require_possible_cap(problem);
  const Arrangement given(problem.arrangement);
  const double bound = lower_bound(problem, problem.arrangement.empty() ? nullptr : &given);
  const auto searches = run_searches(problem, options, coverage, bound,
                                     [&](Search& search) { search.plan(options.track); });
  return finish(problem, options, searches, bound);
}

Solution plan(const Problem& problem, const PlanOptions& options) {
  require_limits(problem, options);
  return plan_cycle(problem, options, nullptr);
}

Solution replan(const Problem& problem, const Solution& former, const PlanOptions& options) {
  require_limits(problem, options);
  PlanOptions free = options;
  free.track = Track::kFree;
  const Draft draft = draft_of(problem, former);
  return plan_cycle(problem, free, &draft);
}

}  // namespace rw::planner
