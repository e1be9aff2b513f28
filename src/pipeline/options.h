// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace rw::pipeline {

inline constexpr std::array<const char*, 6> kScheduleNames{"gpipe",       "1f1b",     "interleaved",
                                                           "zero_bubble", "skippipe", "file"};

struct ParallelOptions {
  std::int64_t dp = 1;
  std::int64_t pp = 1;
};

struct Options {
  std::string schedule = "1f1b";  // a name in kScheduleNames
  std::int64_t chunks = 2;        // interleaved: stages per rank
  std::vector<std::int64_t>
      stage_split;  // layers per stage; empty: even, earlier stages take the rest
  std::int64_t bucket_bytes = 25 << 20;  // gradients are reduced in buckets of about this size
};

}  // namespace rw::pipeline
