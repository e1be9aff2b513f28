// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/session.h"
#include "recipe/recipe.h"
#include "train/signals.h"
#include "train/start_alarm.h"

namespace rw::launcher {

inline constexpr int kExitHang = 72;  // a rank is silent

/// Who this process is in a job: one rank under a launcher, all of them without one.
struct Place {
  std::optional<comm::LauncherRank> launched;  // as the launcher's environment says
  bool speaks() const { return !launched || launched->rank == 0; }
  std::optional<int> ranks() const;
};
Place find_place();

/// How a job's ranks run.
struct RankPlan {
  int ranks = 1;             // dp·pp
  int threads = 1;           // OpenMP threads of each
  std::string communicator;  // local, threads, mpi
  double init_s = 0;         // watchdog.init_s, for the start of MPI
};
/// Threads: OMP_NUM_THREADS, or an equal share of the cores that this process may use.
RankPlan plan_ranks(const Place& place, const recipe::Recipe& recipe);

/// What a rank's body works with.
struct RankParts {
  comm::Communicator& world;
  train::Signals* signals;   // null where another rank handles them
  train::StartAlarm& alarm;  // to be stopped once this rank has heard from the others
};
/// One rank from start to end, collective; returns the exit code.
using RankBody = std::function<int(const RankParts& rank)>;

/// Runs `body` on every rank of this process, each with its number of OpenMP threads set. Failures
/// that all ranks know of (AgreedFailure, a loss that is not finite) become the exit code, and rank
/// 0 says why; others end the job. `complaints` about the recipe that only some hosts have are
/// said once, after MPI started: exit code 2.
int run_ranks(const Place& place, const RankPlan& plan, const std::vector<std::string>& complaints,
              const RankBody& body);

/// Throws Error{kDevice} for a device that cannot train.
void require_training_device(const recipe::Recipe& recipe);

/// What loading a recipe gave this process: a recipe to run, or the code to leave with at once.
struct LoadedJob {
  std::optional<int> exit_code;
  recipe::Recipe recipe;
  std::string resolved_recipe;
  std::vector<std::string> complaints;  // of this host alone, for run_ranks
};
/// Reads the recipe before MPI starts: rank 0 prints the complaints, the others leave quietly.
/// Facts: as those of recipe_facts.h. Throws as require_training_device.
LoadedJob load_job(const Place& place, const std::string& path,
                   const std::vector<std::string>& overrides, const recipe::Facts& facts);

}  // namespace rw::launcher
