// Part of Ropewalk, MIT licence.
#pragma once
#include <utility>

#include "planner/dice.h"
#include "planner/list.h"
#include "planner/schedule.h"

namespace rw::planner {

/// Whether nodes may change groups, or the arrangement is given.
enum class Placement : std::uint8_t { kOpen, kFixed };

/// Changes to a schedule that keep every rule but the cap on reductions getting better
/// (papers/skippipe.md §12.2): each call makes one change, to be priced and kept or reverted.
class Moves {
 public:
  Moves(Schedule& schedule, Dice& dice, Placement placement);

  /// Makes a random change; false when the one that was drawn cannot be made (then nothing
  /// changed).
  bool propose();
  /// After Schedule::keep.
  void kept() { traced_ = false; }

 private:
  void trace();
  bool change_critical_order();
  bool change_urgent();
  bool change_any_order();
  bool exchange_same_kind();
  bool change_path();
  bool replace_node(int job);
  bool exchange_nodes(int job);
  void shift_operation(int job);
  bool exchange_tails(int job);
  bool reorder_path(int job);
  bool swap_groups();
  bool swap_labels(int a, int b);
  bool apply(int job, List<int>& nodes);
  bool allowed(List<int>& nodes);
  int pick_job();

  Schedule& schedule_;
  Dice& dice_;
  Placement placement_;
  int slots_;
  bool traced_ = false;
  int proposals_ = 0;
  List<std::pair<int, int>> arcs_;  // positions on one node of a critical path
  List<int> critical_;              // positions of a critical path, last one first
  List<int> nodes_, others_;
  List<int> stages_;
};

}  // namespace rw::planner
