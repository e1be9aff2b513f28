// Part of Ropewalk, MIT licence.
#include "launcher/ranks.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "comm/local.h"
#include "comm/threads.h"
#include "core/error.h"
#include "core/log.h"
#include "kernels/threads.h"
#include "launcher/assemble.h"
#include "launcher/recipe_facts.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

const char* environment(const char* name) { return std::getenv(name); }

int threads_per_rank(int ranks_here) {
  if (const char* asked = environment("OMP_NUM_THREADS"); asked != nullptr) {
    const int count = std::atoi(asked);
    if (count >= 1) return count;
  }
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  int cores = 1;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) cores = CPU_COUNT(&allowed);
  const auto online = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  if (cores < online) return cores;  // the launcher bound this rank to cores of its own
  return std::max(1, cores / std::max(1, ranks_here));
}

/// The body of one rank with the failures that all ranks know of turned into an exit code.
int run_agreed(const RankPlan& plan, const RankBody& body, const RankParts& rank) {
  comm::Communicator& world = rank.world;
  const auto say = [&](const std::string& message) {
    if (world.rank() == 0) core::log_error("ropewalk: " + message);
  };
  int code = 0;
  try {
    kernels::set_threads(plan.threads);
    return body(rank);
  } catch (const AgreedFailure& failure) {
    say(failure.message);
    code = failure.exit_code;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNonFinite) throw;  // the trainer throws it on every rank alike
    say(error.what());
    code = error.exit_code();
  }
  world.barrier().wait();  // nobody leaves before rank 0 has spoken
  return code;
}

/// Says that the other ranks do not come, and ends this one: the launcher ends the rest.
void end_start(int rank, double seconds) {
  const std::string stopped =
      train::stopped_ranks({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"});
  core::log_error(fmt::format(
      "watchdog: rank {} waits for the others to start since {:.3g} s: {} (watchdog.init_s)", rank,
      seconds, stopped.empty() ? "one is stopped, or its host is slow or gone" : stopped));
  std::_Exit(kExitHang);
}

int run_mpi(const RankPlan& plan, int rank, const std::vector<std::string>& complaints,
            const RankBody& body) {
  const double init_s = plan.init_s;
  train::StartAlarm alarm(init_s, [=] { end_start(rank, init_s); });
  comm::MpiSession session;
  auto& world = session.world();
  core::log_set_rank(world.rank(), world.size());
  // Complaints that only some hosts have (a file that is not there) are said once, by rank 0.
  std::string mine;
  for (const auto& line : complaints) mine += session.host() + ": " + line + "\n";
  int code = 0;
  for (const auto& text : world.gather_text(mine)) {
    if (text.empty()) continue;
    if (world.rank() == 0 && code == 0) std::cerr << text;
    code = 2;
  }
  if (code != 0) {
    world.barrier().wait();
    return code;
  }
  train::Signals signals;
  try {
    return run_agreed(plan, body, {world, &signals, alarm});
  } catch (const Error& error) {
    core::log_error(
        fmt::format("ropewalk: rank {} on {}: {}", world.rank(), session.host(), error.what()));
    world.abort(error.exit_code());
    throw;
  } catch (const std::exception& error) {
    core::log_error(fmt::format("ropewalk: rank {} on {}: a bug, please report it: {}",
                                world.rank(), session.host(), error.what()));
    world.abort(1);
    throw;
  }
}

int run_here(const RankPlan& plan, const RankBody& body) {
  train::Signals signals;
  if (plan.ranks == 1) {
    const auto world = comm::make_local();
    train::StartAlarm none(0, {});
    return run_agreed(plan, body, {*world, &signals, none});
  }
  int code = 0;
  comm::run_threads(plan.ranks, [&](comm::Communicator& world) {
    train::StartAlarm none(0, {});
    const int mine = run_agreed(plan, body, {world, world.rank() == 0 ? &signals : nullptr, none});
    if (world.rank() == 0) code = mine;
  });
  return code;
}

}  // namespace

std::optional<int> Place::ranks() const {
  return launched ? std::optional<int>(launched->size) : std::nullopt;
}

Place find_place() { return {comm::launcher_rank(environment)}; }

RankPlan plan_ranks(const Place& place, const recipe::Recipe& recipe) {
  RankPlan out;
  out.init_s = recipe.watchdog.init_s;
  out.ranks = static_cast<int>(recipe.parallel.dp * recipe.parallel.pp);
  out.communicator = place.launched ? "mpi" : out.ranks == 1 ? "local" : "threads";
  out.threads = threads_per_rank(place.launched ? place.launched->local_size : out.ranks);
  return out;
}

void require_training_device(const recipe::Recipe& recipe) {
  if (recipe.device == "cpu") return;
  throw Error(ErrorKind::kDevice,
              fmt::format("device: got '{}', want cpu; the CUDA backend of this version holds "
                          "only some kernels",
                          recipe.device));
}

LoadedJob load_job(const Place& place, const std::string& path,
                   const std::vector<std::string>& overrides, const recipe::Facts& facts) {
  const auto pure = recipe::load(path, overrides, pure_facts(place.ranks()));
  auto loaded = recipe::load(path, overrides, facts);
  LoadedJob out;
  if (!loaded.complaints.empty()) {
    if (place.speaks()) {
      for (const auto& complaint : loaded.complaints) std::cerr << complaint << '\n';
      out.exit_code = 2;
      return out;
    }
    const bool one_host = place.launched->local_size == place.launched->size;
    if (!pure.complaints.empty() || one_host) {
      out.exit_code = 0;
      return out;
    }
  }
  out.recipe = std::move(loaded.recipe);
  out.resolved_recipe = std::move(loaded.resolved_text);
  out.complaints = std::move(loaded.complaints);
  require_training_device(out.recipe);
  return out;
}

int run_ranks(const Place& place, const RankPlan& plan, const std::vector<std::string>& complaints,
              const RankBody& body) {
  return place.launched ? run_mpi(plan, place.launched->rank, complaints, body)
                        : run_here(plan, body);
}

}  // namespace rw::launcher
