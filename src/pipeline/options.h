// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
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
      0;                     // gradients are reduced in buckets of at most this; 0: by the link
  double skip_fraction = 0;  // skippipe: share of the stages, the first one counted, that each
                             // micro-batch leaves out; pp · that is whole
  std::string problem;       // skippipe: file of the problem that `solution` solves; empty: none
  std::string solution;      // skippipe: file of a planner's solution; empty: skipping in turn
  double patience_ms = -1;   // how long a rank waits for the next planned operation before it takes
                             // another that is ready; < 0: for ever
  double replan_share = 0;   // predicted and measured times part by more: plan anew; 0: never
};

}  // namespace rw::pipeline
