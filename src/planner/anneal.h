// Part of Ropewalk, MIT licence.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "planner/moves.h"
#include "planner/schedule.h"

namespace rw::planner {

/// What is left of a limit. Everything that is tried counts as one evaluation.
class Budget {
 public:
  /// `elapsed_s` is asked every kGrain evaluations. Where evaluations are limited they alone are progress, so
  /// that a search takes the same course every time; the time only ends it.
  Budget(std::int64_t evaluations, double seconds, std::function<double()> elapsed_s);
  /// Asked for as often as the time; true ends the budget. Not owned.
  void stop_when(const std::atomic<bool>* stop) { stop_ = stop; }
  void report_to(std::function<void(double, double)> report) { report_ = std::move(report); }
  /// Counts one; false when there is no more.
  bool spend();
  /// The best objective so far, for reports.
  void found(double objective) { best_ = objective; }
  /// A goal of no more than `bound` ends everything: none is better.
  void stop_at(double bound) { enough_ = bound * (1 + 1e-9); }
  double enough() const { return enough_; }
  void finish() { progress_ = 1; }
  std::int64_t evaluations() const { return spent_; }
  /// 0 at the start, 1 at the end.
  double progress() const { return progress_; }
  static constexpr int kGrain = 128;

 private:
  std::int64_t limit_, spent_ = 0;
  double seconds_;
  std::function<double()> elapsed_s_;
  const std::atomic<bool>* stop_ = nullptr;
  double progress_ = 0;
  std::function<void(double, double)> report_;
  double best_ = 0;
  double enough_ = 0;
};

/// Temperatures of a run, shares of the cost at its start; between them geometrically.
struct Heat {
  double hot = 1e-2;
  double cold = 1e-4;
  double until = 1;  // progress of the budget at its end
};

/// Simulated annealing from hot to cold; leaves the best of its schedules kept in `schedule`.
void anneal(Schedule& schedule, Dice& dice, Placement placement, const Heat& heat, Budget& budget);

/// Parallel tempering: every schedule walks at a temperature of its own, in turns, and neighbours exchange
/// temperatures as a Metropolis step on both costs says. Leaves the best schedule of all kept in the first one.
void temper(List<std::unique_ptr<Schedule>>& schedules, Dice& dice, Placement placement,
            const Heat& heat, Budget& budget);

}  // namespace rw::planner
