// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/session.h"
#include "launcher/agreement.h"
#include "recipe/recipe.h"
#include "train/signals.h"
#include "train/start_alarm.h"

namespace rw::launcher {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitHang = 72;  // a rank is silent

/// Who this process is in a job: one rank under a launcher, all of them without one. Commands without
/// ranks are never under one.
struct Place {
  std::optional<comm::LauncherRank> launched;  // as the launcher's environment says
  bool speaks() const { return !launched || launched->rank == 0; }
};
/// Throws as comm::launcher_rank.
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
  const RankPlan& plan;
};
/// One rank from start to end, collective; returns the exit code.
using RankBody = std::function<int(const RankParts& rank)>;

/// Runs `body` on every rank of this process, each with its number of OpenMP threads set, once all
/// ranks have agreed on `start` (launcher/agreement.h). Failures that all ranks know of
/// (AgreedFailure, a loss that is not finite) become the exit code, and rank 0 says why; others end
/// the job. Refuses with 2 when MPI's world is not the launcher's; a recipe for one rank in a world of
/// one is a job of its own, whatever the launcher started beside it.
int run_ranks(const Place& place, const RankPlan& plan, const Start& start, const RankBody& body);

/// What ends this process before its ranks have met: says it, or has rank 0 say it, and returns the
/// code to leave with. Quiet with 0 where rank 0 is sure to say the same.
int fail_start(const Place& place, int exit_code, const std::string& text);

/// Throws Error{kDevice} for a device that cannot train.
void require_training_device(const recipe::Recipe& recipe);

/// What loading a recipe gave this process: a recipe to run, or the code to leave with at once.
struct LoadedJob {
  std::optional<int> exit_code;
  recipe::Recipe recipe;
  std::string resolved_recipe;
  std::string in_company;  // what is wrong with it unless MPI's world is 1
  /// A complaint about the value of a key that only a later look at other files can make.
  std::function<std::string(const std::string& key, const std::string& message)> at_key;
};
/// Reads the recipe before MPI starts; what is wrong with it is fail_start's. Facts: as those of
/// recipe_facts.h; the number of ranks is the place's. Throws as require_training_device.
LoadedJob load_job(const Place& place, const std::string& path,
                   const std::vector<std::string>& overrides, recipe::Facts facts);

/// What this rank comes with to the start of `command`, with the options that all must share.
Start start_of(const std::string& command, const std::vector<Fact>& options, const LoadedJob& job,
               const RankPlan& plan);

}  // namespace rw::launcher
