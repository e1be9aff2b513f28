// Part of Ropewalk, MIT licence.
#pragma once

#include "planner/list.h"

namespace rw::planner {

/// Which node holds which stage.
class Arrangement {
 public:
  Arrangement() = default;
  /// `members[s]`: the nodes of stage s; together every node 0 .. N - 1 once.
  explicit Arrangement(List<List<int>> members);
  const List<List<int>>& members() const { return members_; }
  const List<int>& group(int stage) const { return members_[stage]; }
  int stage_of(int node) const { return stage_of_[node]; }
  /// Exchanges the places of two nodes.
  void swap(int a, int b);

 private:
  List<List<int>> members_;
  List<int> stage_of_, place_of_;
};

}  // namespace rw::planner
