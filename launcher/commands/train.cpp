// Part of Ropewalk, MIT licence.
#include "launcher/commands/train.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

#include "comm/local.h"
#include "comm/session.h"
#include "comm/threads.h"
#include "core/error.h"
#include "core/log.h"
#include "kernels/threads.h"
#include "launcher/assemble.h"
#include "launcher/recipe_facts.h"
#include "train/signals.h"
#include "train/start_alarm.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

constexpr int kExitPreempted = 75;
constexpr int kExitTerminated = 143;  // as a shell reports SIGTERM
constexpr int kExitHang = 72;

const char* environment(const char* name) { return std::getenv(name); }

/// OMP_NUM_THREADS, or an equal share of the cores that this process may use.
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

/// What is the same for all ranks of the job.
struct Job {
  recipe::Recipe recipe;
  std::string resolved_recipe;
  Resume resume;
  bool overwrite = false;
  int threads = 1;
  std::string communicator;
};

int finish(const Job& job, Run& run, comm::Communicator& world, train::Ending ending) {
  if (run.trace != nullptr) run.trace->close();
  if (ending == train::Ending::kTerminated) return kExitTerminated;
  if (ending == train::Ending::kPreempted) {
    if (world.rank() == 0) {
      core::log_info("asked to leave: the checkpoint is committed; go on with --resume auto");
    }
    return kExitPreempted;
  }
  write_final(job.recipe, run, world);
  if (world.rank() == 0) core::log_info(fmt::format("done: {}/final", job.recipe.output_dir));
  return 0;
}

/// One rank from start to end. Collective.
int run_rank(const Job& job, comm::Communicator& world, train::Signals* signals,
             train::StartAlarm& alarm) {
  kernels::set_threads(job.threads);
  // A hung peer may hold this rank's training thread for ever: the watchdog's thread ends the job.
  train::Watchdog watchdog(world.duplicate(), job.recipe.watchdog,
                           [&world](const std::string& message) {
                             core::log_error("watchdog: " + message);
                             world.abort(kExitHang);
                             std::_Exit(kExitHang);
                           });
  alarm.stop();
  RunLock lock;
  together(world, [&] {
    if (world.rank() != 0) return;
    lock = prepare_run_folder({job.recipe.output_dir, job.resolved_recipe,
                               environment_json(world.size(), job.threads, job.communicator),
                               job.resume, job.overwrite});
    core::log_add_file(job.recipe.output_dir + "/log/rank-0.txt");
  });
  if (job.communicator == "mpi" && world.rank() != 0) {
    core::log_add_file(fmt::format("{}/log/rank-{}.txt", job.recipe.output_dir, world.rank()));
  }
  Run run = assemble(job.recipe, job.resolved_recipe, job.resume, world);
  const train::LoopParts parts{*run.method, world,   *run.checkpointer,
                               watchdog,    signals, &run.sinks};
  const auto ending = train::run_loop(parts, run.loop);
  return finish(job, run, world, ending);
}

/// run_rank with the failures that all ranks know of turned into an exit code; rank 0 says why.
int run_rank_agreed(const Job& job, comm::Communicator& world, train::Signals* signals,
                    train::StartAlarm& alarm) {
  const auto say = [&](const std::string& message) {
    if (world.rank() == 0) core::log_error("ropewalk: " + message);
  };
  int code = 0;
  try {
    return run_rank(job, world, signals, alarm);
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

int run_mpi(const Job& job, int rank, const std::vector<std::string>& complaints) {
  const double init_s = job.recipe.watchdog.init_s;
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
    return run_rank_agreed(job, world, &signals, alarm);
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

int run_here(const Job& job) {
  train::Signals signals;
  const auto ranks = static_cast<int>(job.recipe.parallel.dp * job.recipe.parallel.pp);
  if (ranks == 1) {
    const auto world = comm::make_local();
    train::StartAlarm none(0, {});
    return run_rank_agreed(job, *world, &signals, none);
  }
  int code = 0;
  comm::run_threads(ranks, [&](comm::Communicator& world) {
    train::StartAlarm none(0, {});
    const int mine = run_rank_agreed(job, world, world.rank() == 0 ? &signals : nullptr, none);
    if (world.rank() == 0) code = mine;
  });
  return code;
}

}  // namespace

int run_train(const TrainOptions& options) {
  const auto place = comm::launcher_rank(environment);
  const bool speaks = !place || place->rank == 0;
  Job job;
  job.resume = parse_resume(options.resume);
  job.overwrite = options.overwrite;
  if (job.overwrite && job.resume.kind != Resume::Kind::kNever) {
    throw Error(ErrorKind::kUsage,
                "--overwrite starts anew and --resume goes on; give one of them");
  }
  const auto ranks = place ? std::optional<int>(place->size) : std::nullopt;
  const auto pure = recipe::load(options.recipe, options.overrides, pure_facts(ranks));
  const auto loaded = recipe::load(options.recipe, options.overrides, gather_facts(ranks));
  if (!loaded.complaints.empty()) {
    if (speaks) {
      for (const auto& complaint : loaded.complaints) std::cerr << complaint << '\n';
      return 2;
    }
    const bool one_host = place->local_size == place->size;
    if (!pure.complaints.empty() || one_host) return 0;
  }
  job.recipe = loaded.recipe;
  job.resolved_recipe = loaded.resolved_text;
  if (job.recipe.device != "cpu") {
    throw Error(ErrorKind::kDevice,
                fmt::format("device: got '{}', want cpu; the CUDA backend of this version holds "
                            "only some kernels",
                            job.recipe.device));
  }
  const auto world = static_cast<int>(job.recipe.parallel.dp * job.recipe.parallel.pp);
  job.communicator = place ? "mpi" : world == 1 ? "local" : "threads";
  job.threads = threads_per_rank(place ? place->local_size : world);
  if (speaks) std::cout << job.resolved_recipe << std::flush;
  return place ? run_mpi(job, place->rank, loaded.complaints) : run_here(job);
}

}  // namespace rw::launcher
