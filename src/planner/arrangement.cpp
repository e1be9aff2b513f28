// Part of Ropewalk, MIT licence.
#include "planner/arrangement.h"

#include <cstddef>
#include <utility>

namespace rw::planner {

Arrangement::Arrangement(List<List<int>> members) : members_(std::move(members)) {
  std::size_t nodes = 0;
  for (const auto& group : members_) nodes += group.size();
  stage_of_.resize(nodes);
  place_of_.resize(nodes);
  for (std::size_t stage = 0; stage < members_.size(); ++stage) {
    for (std::size_t i = 0; i < members_[stage].size(); ++i) {
      stage_of_[members_[stage][i]] = static_cast<int>(stage);
      place_of_[members_[stage][i]] = static_cast<int>(i);
    }
  }
}

void Arrangement::swap(int a, int b) {
  std::swap(members_[stage_of_[a]][place_of_[a]], members_[stage_of_[b]][place_of_[b]]);
  std::swap(stage_of_[a], stage_of_[b]);
  std::swap(place_of_[a], place_of_[b]);
}

}  // namespace rw::planner
