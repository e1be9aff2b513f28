// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/json.h"

namespace rw::test {

/// What a random problem may be like.
struct ProblemRange {
  int max_nodes = 8;
  int max_stages = 4;
  int max_per_source = 6;
  int max_operations = 400;
  bool may_be_infeasible = false;
  bool may_be_extended = false;  // loss_at, split_backward, contention
};

/// Random problems as files say them, from the smallest up: every rule tight in some of them.
class RandomProblems {
 public:
  RandomProblems(unsigned seed, const ProblemRange& range) : random_(seed), range_(range) {}

  core::Json next() {
    for (;;) {
      core::Json out = draw();
      const int micro_batches =
          out["stage_sizes"][0].get<int>() * out["micro_batches_per_source"].get<int>();
      if (micro_batches * (2 * out["path_length"].get<int>() + 1) <= range_.max_operations) {
        return out;
      }
    }
  }

 private:
  int whole(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  double real(double low, double high) {
    return std::uniform_real_distribution(low, high)(random_);
  }
  bool chance(double share) { return real(0, 1) < share; }

  core::Json matrix(int n, double low, double high) {
    core::Json out = core::Json::array();
    for (int i = 0; i < n; ++i) {
      core::Json row = core::Json::array();
      for (int j = 0; j < n; ++j) row.push_back(i == j ? 0.0 : real(low, high));
      out.push_back(row);
    }
    return out;
  }

  core::Json draw() {
    const int stages = whole(1, range_.max_stages);
    const int nodes = whole(std::max(2, stages), std::max({2, stages, range_.max_nodes}));
    std::vector<int> sizes(static_cast<std::size_t>(stages), 1);
    for (int i = stages; i < nodes; ++i) ++sizes[static_cast<std::size_t>(whole(0, stages - 1))];
    const int length = whole(1, stages);
    const int each = whole(1, range_.max_per_source);
    core::Json out;
    out["format"] = "ropewalk-problem/1";
    out["nodes"] = core::Json::array();
    const bool same_speed = chance(0.5);
    const bool same_memory = chance(0.6);
    const double unit = real(0.5, 2);
    const int memory = whole(1, 3);
    for (int i = 0; i < nodes; ++i) {
      out["nodes"].push_back({{"forward_s", same_speed ? unit : real(0.5, 2)},
                              {"memory_micro_batches", same_memory ? memory : whole(1, 3)}});
    }
    out["transfer_s"] = matrix(nodes, 0, chance(0.5) ? 0.3 : 3);
    out["backward_factor"] = real(1, 2.5);
    out["loss_factor"] = chance(0.3) ? 0.0 : real(0, 0.5);
    out["gap_s"] = chance(0.3) ? 0.0 : real(0, 0.3);
    out["gap_first_forward_s"] = chance(0.3) ? 0.0 : real(0, 0.3);
    out["stage_sizes"] = sizes;
    out["path_length"] = length;
    out["micro_batches_per_source"] = each;
    // A quota that is just enough, in half of them.
    const int visits = sizes[0] * each * (length - 1);
    int quota = stages > 1 ? (visits + stages - 2) / (stages - 1) : 0;
    if (chance(0.5)) quota += whole(0, sizes[0] * each);
    if (range_.may_be_infeasible && chance(0.2)) quota = std::max(0, quota - 1);
    out["rules"] = {{"max_swaps", chance(0.5) ? 0 : whole(1, 2)},
                    {"max_jump", range_.may_be_infeasible ? whole(1, 4) : std::max(1, stages - 1)},
                    {"stage_quota", quota}};
    if (chance(0.5)) {
      out["reduce"] = {{"latency_s", matrix(nodes, 0, 0.2)},
                       {"bandwidth_bytes_per_s", matrix(nodes, 1e6, 1e7)},
                       {"gradient_bytes", real(0, 1e7)}};
      out["objective"] = chance(0.5) ? "iteration" : "makespan";
      if (chance(0.5)) out["reduce"]["max_reduce_s"] = real(2, 20);
    }
    if (chance(0.2)) {
      std::vector<int> order(static_cast<std::size_t>(nodes));
      for (int i = 0; i < nodes; ++i) order[static_cast<std::size_t>(i)] = i;
      std::shuffle(order.begin(), order.end(), random_);
      auto at = order.begin();
      core::Json groups = core::Json::array();
      for (const int size : sizes) {
        groups.push_back(std::vector<int>(at, at + size));
        at += size;
      }
      out["arrangement"] = groups;
    }
    if (range_.may_be_extended) extend(out);
    return out;
  }

  void extend(core::Json& out) {
    if (chance(0.4)) out["loss_at"] = "last";
    if (chance(0.6)) {
      out["split_backward"] = {{"input_factor", chance(0.1) ? 0.0 : real(0.5, 1.5)},
                               {"weight_factor", chance(0.1) ? 0.0 : real(0.3, 1.2)}};
      if (chance(0.5)) out.erase("backward_factor");
    }
    const char* const kinds[] = {"none", "fair", "serial"};
    if (chance(0.8)) out["contention"] = kinds[whole(0, 2)];
  }

  std::mt19937 random_;
  ProblemRange range_;
};

}  // namespace rw::test
