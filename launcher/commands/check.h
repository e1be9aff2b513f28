// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

struct CheckOptions {
  std::string recipe;
  std::vector<std::string> overrides;  // key.sub=value
  bool json = false;
};

/// Validates a recipe and prints it resolved, with parameters, memory per rank and the plan's
/// bubble; runs nothing. 2 with all complaints when it is not good; throws what `train` would say of
/// corpora or weights that cannot be read (65, 66).
int run_check(const CheckOptions& options);

}  // namespace rw::launcher
