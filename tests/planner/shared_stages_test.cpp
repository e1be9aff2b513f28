// Part of Ropewalk, MIT licence.
#include <gtest/gtest.h>

#include <algorithm>

#include "planner/problem.h"

namespace rw::planner {
namespace {

Problem of(int sources, int stages, int length, int jump, int quota) {
  Problem p;
  p.stage_sizes = filled(stages, 1);
  p.stage_sizes[0] = sources;
  p.path_length = length;
  p.micro_batches_per_source = 1;
  p.rules = {.max_swaps = 0, .max_jump = jump, .stage_quota = quota};
  return p;
}

/// All ways to give paths to `walks` micro-batches, tried one after the other; `path` is the one being made.
bool can_be(const Problem& p, int walks, List<int>& left, List<int>& path) {
  if (walks == 0) return true;
  if (path.count() == p.path_length) {
    List<int> next{0};
    return can_be(p, walks - 1, left, next);
  }
  for (int stage = path.back() + 1; stage <= path.back() + p.rules.max_jump; ++stage) {
    if (stage >= p.stages() || left[stage] == 0) continue;
    --left[stage];
    path.push_back(stage);
    const bool possible = can_be(p, walks, left, path);
    path.pop_back();
    ++left[stage];
    if (possible) return true;
  }
  return false;
}

void expect_sound(const Problem& p, const List<List<int>>& shared) {
  auto left = filled(p.stages(), p.rules.stage_quota);
  ASSERT_EQ(shared.count(), p.micro_batches());
  for (const auto& stages : shared) {
    List<int> path{0};
    path.insert(path.end(), stages.begin(), stages.end());
    ASSERT_EQ(path.count(), p.path_length);
    EXPECT_TRUE(std::is_sorted(path.begin(), path.end()));
    EXPECT_TRUE(path_allowed(p.rules, path.data(), p.path_length));
    for (const int stage : stages) EXPECT_GE(--left[stage], 0);
  }
}

TEST(SharedStages, AreFoundWhereverThereAreAny) {
  int found = 0, none = 0;
  for (int sources = 1; sources <= 4; ++sources) {
    for (int stages = 2; stages <= 7; ++stages) {
      for (int length = 2; length <= std::min(stages, 5); ++length) {
        for (int jump = 1; jump <= 4; ++jump) {
          for (int quota = 1; quota <= sources; ++quota) {
            const Problem p = of(sources, stages, length, jump, quota);
            auto left = filled(stages, quota);
            List<int> path{0};
            const bool possible = can_be(p, sources, left, path);
            const auto shared = shared_stages(p, Track::kFree);
            ASSERT_EQ(!shared.empty(), possible)
                << sources << " sources, " << stages << " stages, " << length << " long, jump "
                << jump << ", quota " << quota;
            if (possible) expect_sound(p, shared);
            ++(possible ? found : none);
          }
        }
      }
    }
  }
  EXPECT_GT(found, 300);
  EXPECT_GT(none, 100);
}

TEST(SharedStages, QuotasThatFitExactlyCanBeMetByManyMicroBatches) {
  // The path of the middle would leave the last stages to nobody.
  const Problem p = of(36, 13, 7, 2, 18);
  const auto shared = shared_stages(p, Track::kFree);
  ASSERT_FALSE(shared.empty());
  expect_sound(p, shared);
}

}  // namespace
}  // namespace rw::planner
