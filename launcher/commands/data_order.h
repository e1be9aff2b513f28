// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

struct DataOrderOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string steps;    // "A..B", inclusive, from 1; or "A"
  bool tokens = false;  // print the ids too
  bool json = false;    // JSON lines
};

/// Prints which sample each row of these steps holds, in order.
int run_data_order(const DataOrderOptions& options);

}  // namespace rw::launcher
