// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace rw::data {

inline constexpr std::array<const char*, 2> kOrderNames{"random", "spread"};

struct Source {
  std::string path;     // a corpus file made by `ropewalk data build`
  double weight = 1.0;  // share of rows, relative to the other sources; > 0
};

struct Options {
  std::vector<Source> sources;
  std::string order = "random";  // a name in kOrderNames
  std::int64_t loader_threads = 2;
  std::int64_t prefetch_steps = 4;
  std::vector<Source> validation;        // data.validation: corpora for the loss inside the loop
  std::int64_t validation_interval = 0;  // steps; 0 = never
  std::int64_t validation_rows = 64;  // rows of seq_len + 1 tokens, the first ones of each corpus
};

}  // namespace rw::data
