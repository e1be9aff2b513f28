// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <vector>

namespace rw::pipeline {

/// Seconds (or any one unit) per operation. Vectors have one entry per stage.
struct Costs {
  std::vector<double> forward;
  std::vector<double> backward_input;
  std::vector<double> backward_weight;
  double transfer = 0;  // latency: from the last byte of a message to its arrival
  double reduce = 0;    // per stage, at the end of the step
  double message = 0;   // bytes of a message / bandwidth: how long it keeps its sender's link busy
  double update = 0;    // of the slowest rank
};

/// The same cost for every stage.
inline Costs even_costs(int stages, double forward, double backward_input, double backward_weight,
                        double transfer = 0) {
  const auto n = static_cast<std::size_t>(stages);
  return {std::vector<double>(n, forward), std::vector<double>(n, backward_input),
          std::vector<double>(n, backward_weight), transfer};
}

/// What a planner has to solve: dp replicas of pp positions, `chunks` stages on each.
struct Problem {
  int dp = 1;
  int pp = 1;
  int chunks = 1;
  int micro_batches = 1;  // of the global batch, all replicas together
  int stages() const { return pp * chunks; }
  int ranks() const { return dp * pp; }
};

}  // namespace rw::pipeline
