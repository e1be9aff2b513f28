// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

struct TrainOptions {
  std::string recipe;
  std::vector<std::string> overrides;  // key.sub=value
  std::string resume = "never";        // never, auto, a step, a checkpoint's folder
  bool overwrite = false;              // move an old run aside, but for plan and recipe
};

/// Trains by a recipe: one rank, ranks as threads (dp·pp > 1 without a launcher), or this process's
/// rank under mpirun. Returns the exit code of interfaces.md; complaints about the recipe come once,
/// from rank 0, before MPI starts.
int run_train(const TrainOptions& options);

}  // namespace rw::launcher
