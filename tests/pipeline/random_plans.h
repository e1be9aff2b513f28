// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <random>
#include <vector>

#include "pipeline/classic.h"
#include "pipeline/plan.h"

namespace rw::pipeline::test {

/// Sizes of a random plan.
struct RandomShape {
  int ranks = 2;
  int stages = 3;
  int micro_batches = 3;
  bool skip = false;  // stages may be left out of a path
};

inline int pick(std::mt19937& random, int below) {
  return static_cast<int>(random() % static_cast<unsigned>(below));
}

/// Every stage on at least one rank, further replicas at random, every rank with at least one stage.
inline std::vector<std::vector<int>> random_placement(const RandomShape& shape,
                                                      std::mt19937& random) {
  std::vector<std::vector<int>> held(static_cast<std::size_t>(shape.ranks));
  for (int rank = 0; rank < shape.ranks; ++rank) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      const bool must = stage % shape.ranks == rank || rank % shape.stages == stage;
      if (must || pick(random, 4) == 0) held[static_cast<std::size_t>(rank)].push_back(stage);
    }
  }
  return held;
}

/// A path through every stage (or, with skip, some of the inner ones), on any replica of each.
inline std::vector<Visit> random_path(const RandomShape& shape,
                                      const std::vector<std::vector<int>>& held,
                                      std::mt19937& random) {
  std::vector<Visit> out;
  for (int stage = 0; stage < shape.stages; ++stage) {
    const bool inner = stage > 0 && stage + 1 < shape.stages;
    if (shape.skip && inner && pick(random, 3) == 0) continue;
    std::vector<int> ranks;
    for (int rank = 0; rank < shape.ranks; ++rank) {
      const auto& mine = held[static_cast<std::size_t>(rank)];
      if (std::find(mine.begin(), mine.end(), stage) != mine.end()) ranks.push_back(rank);
    }
    out.push_back(
        {stage, ranks[static_cast<std::size_t>(pick(random, static_cast<int>(ranks.size())))]});
  }
  return out;
}

/// What one micro-batch still has to do, in its own order; weights hang behind inputs.
struct Progress {
  std::size_t forwards = 0;
  std::size_t backwards = 0;         // counted from the end of the path
  std::vector<std::size_t> weights;  // stations whose weight gradient is owed
};

/// Lists in a random order that respects what depends on what: sound by construction.
inline Plan random_plan(const RandomShape& shape, std::mt19937& random) {
  Plan plan;
  plan.schedule = "random";
  plan.stages = shape.stages;
  plan.stages_of_rank = random_placement(shape, random);
  plan.operations.resize(static_cast<std::size_t>(shape.ranks));
  for (int m = 0; m < shape.micro_batches; ++m) {
    plan.paths.push_back(random_path(shape, plan.stages_of_rank, random));
  }
  std::vector<Progress> progress(plan.paths.size());
  const auto emit = [&](OpKind kind, std::size_t m, std::size_t station) {
    const Visit& visit = plan.paths[m][station];
    plan.operations[static_cast<std::size_t>(visit.rank)].push_back(
        {kind, static_cast<int>(m), visit.stage});
  };
  while (true) {
    std::vector<std::size_t> open;
    for (std::size_t m = 0; m < progress.size(); ++m) {
      if (progress[m].backwards < plan.paths[m].size() || !progress[m].weights.empty()) {
        open.push_back(m);
      }
    }
    if (open.empty()) break;
    const std::size_t m =
        open[static_cast<std::size_t>(pick(random, static_cast<int>(open.size())))];
    Progress& one = progress[m];
    const std::size_t length = plan.paths[m].size();
    const bool owed = !one.weights.empty();
    if (owed && (one.backwards == length || pick(random, 2) == 0)) {
      emit(OpKind::kBackwardWeight, m, one.weights.back());
      one.weights.pop_back();
    } else if (one.forwards < length) {
      emit(OpKind::kForward, m, one.forwards++);
    } else {
      const std::size_t station = length - 1 - one.backwards++;
      const bool whole = pick(random, 2) == 0;
      emit(whole ? OpKind::kBackward : OpKind::kBackwardInput, m, station);
      if (!whole) one.weights.push_back(station);
    }
  }
  complete(plan);
  return plan;
}

}  // namespace rw::pipeline::test
