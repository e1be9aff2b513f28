// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rw::pipeline {

inline constexpr std::array<const char*, 6> kScheduleNames{"gpipe",       "1f1b",     "interleaved",
                                                           "zero_bubble", "skippipe", "file"};

inline constexpr std::array<const char*, 2> kReduceDtypeNames{"f32", "bf16"};

struct ParallelOptions {
  std::int64_t dp = 1;
  std::int64_t pp = 1;
  std::int64_t zero = 0;             // 1: optimizer state sharded over the replicas of each stage
  std::string reduce_dtype = "f32";  // of gradients between replicas; a name in kReduceDtypeNames
};

struct Options {
  std::string schedule = "1f1b";  // a name in kScheduleNames
  std::int64_t chunks = 2;        // interleaved: stages per rank
  std::vector<std::int64_t>
      stage_split;  // layers per stage; empty: even, earlier stages take the rest
  std::int64_t bucket_bytes =
      0;                        // gradients are reduced in buckets of at most this; 0: by the link
  double skip_fraction = 0;     // skippipe: share of the stages, the first one counted, that each
                                // micro-batch leaves out; see kept_stages
  std::int64_t max_swaps = 0;   // skippipe: steps back to an earlier stage that a path may have
  std::int64_t rotation = 0;    // skippipe: plans that take turns so that every source visits every
                                // stage; 0: one plan for all steps
  std::int64_t full_every = 0;  // skippipe: in every such step all stages are visited; 0: never
  std::string topology;     // skippipe: file of ranks and links to plan for when training starts
  std::string problem;      // file of the problem that `solution` solves or `emulate` plays
  std::string solution;     // skippipe: file of a planner's solution; empty: skipping in turn
  double patience_ms = -1;  // how long a rank waits for the next planned operation before it takes
                            // another that is ready and safe; < 0: for ever
  double replan_share = 0;  // when predicted and measured times part by more, a new plan is made;
                            // 0: never
  bool emulate = false;     // operations last at least what `problem` says (emulation.h)
  std::vector<std::int64_t>
      emulate_slow;  // rank, first step, factor: slower from then on; or empty
};

/// Stages of a path that leaves out `skip_fraction` of `pp` stages (papers/skippipe.md §1.4:
/// (S − L) / S, the first stage counted), so that 0.33 of six are two. nullopt: that is no whole number
/// of stages, or fewer than two stay.
inline std::optional<std::int64_t> kept_stages(std::int64_t pp, double skip_fraction) {
  constexpr double kRounding = 0.05;  // of a stage: 0.33 stands for a third
  const double left_out = static_cast<double>(pp) * skip_fraction;
  const double whole = std::round(left_out);
  const std::int64_t kept = pp - static_cast<std::int64_t>(whole);
  if (std::abs(left_out - whole) > kRounding || (whole > 0 && kept < 2)) return std::nullopt;
  return kept;
}

}  // namespace rw::pipeline
