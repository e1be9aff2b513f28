// Part of Ropewalk, MIT licence.
#include "launcher/ranks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "comm/local.h"
#include "comm/threads.h"
#include "core/error.h"
#include "core/log.h"
#include "core/printable.h"
#include "kernels/matmul/gemm.h"
#include "kernels/multiversion.h"
#include "kernels/threads.h"
#include "launcher/assemble.h"
#include "launcher/failure.h"
#include "launcher/thread_limits.h"
#include "train/siblings.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

const char* environment(const char* name) { return std::getenv(name); }

int threads_per_rank(int ranks_here) {
  if (const int asked = asked_threads(); asked > 0) return asked;
  const int cores = usable_cores();
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
  const std::string stopped = train::stopped_ranks(comm::kRankVariables);
  core::log_error(fmt::format(
      "watchdog: rank {} waits for the others to start since {:.3g} s: {} (watchdog.init_s)", rank,
      seconds, stopped.empty() ? "one is stopped, or its host is slow or gone" : stopped));
  std::_Exit(kExitHang);
}

int say(int exit_code, const std::string& text) {
  std::cerr << core::printable(text) << std::endl;
  return exit_code;
}

/// Which kernels this CPU runs: the bits of sums depend on it.
std::string instruction_set(const recipe::Recipe& recipe) {
  if (recipe.precision == "bf16") {
    const auto engine = kernels::gemm_engine();
    if (engine == kernels::GemmEngine::kAmx) return "AMX";
    if (engine == kernels::GemmEngine::kDot) return "AVX-512 with bf16";
  }
  switch (kernels::cpu_level()) {
    case kernels::CpuLevel::kAvx512:
      return "AVX-512";
    case kernels::CpuLevel::kAvx2:
      return "AVX2";
    case kernels::CpuLevel::kBaseline:
      break;
  }
  return "no AVX2";
}

/// MPI has found another job than the launcher's environment tells of.
Start stranger(const comm::LauncherRank& launched, int world) {
  Start out;
  out.exit_code = kExitUsage;
  out.failure = fmt::format(
      "ropewalk: got rank {} of {} from the launcher's environment, but MPI finds a world of {}: "
      "launcher and MPI library do not belong together; try the mpirun of Open MPI, which this "
      "program is built with, or srun --mpi=pmix",
      launched.rank, launched.size, world);
  return out;
}

int run_here(const RankPlan& plan, const RankBody& body);

/// A task of a launcher that MPI finds alone.
int run_alone(RankPlan plan, const RankBody& body) {
  plan.communicator = "local";
  return run_here(plan, body);
}

int run_mpi(const comm::LauncherRank& launched, const RankPlan& plan, const Start& start,
            const RankBody& body) {
  const double init_s = plan.init_s;
  train::StartAlarm alarm(init_s, [=] { end_start(launched.rank, init_s); });
  auto session = std::make_unique<comm::MpiSession>();
  auto& world = session->world();
  if (plan.ranks == 1 && world.size() == 1 && launched.size > 1) {
    alarm.stop();
    session.reset();
    return run_alone(plan, body);
  }
  core::log_set_rank(world.rank(), world.size());
  const bool known = world.size() == launched.size;
  const Start mine = known ? start : stranger(launched, world.size());
  if (const auto code = agree_on_start(world, mine)) return *code;
  train::Signals signals;
  try {
    try_threads(plan.threads);
    return run_agreed(plan, body, {world, &signals, alarm, plan});
  } catch (const std::exception& error) {
    const Failure failure = failure_of(error);
    core::log_error(fmt::format("ropewalk: rank {} on {}: {}", world.rank(), comm::host_name(),
                                failure.message));
    exits_are_ours();
    world.abort(failure.exit_code);
    throw;
  }
}

int run_here(const RankPlan& plan, const RankBody& body) {
  try_threads(plan.ranks * plan.threads);
  train::Signals signals;
  if (plan.ranks == 1) {
    const auto world = comm::make_local();
    train::StartAlarm none(0, {});
    return run_agreed(plan, body, {*world, &signals, none, plan});
  }
  int code = 0;
  comm::run_threads(plan.ranks, [&](comm::Communicator& world) {
    train::StartAlarm none(0, {});
    const int mine =
        run_agreed(plan, body, {world, world.rank() == 0 ? &signals : nullptr, none, plan});
    if (world.rank() == 0) code = mine;
  });
  return code;
}

}  // namespace

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
                   const std::vector<std::string>& overrides, recipe::Facts facts) {
  if (place.launched) facts.ranks = place.launched->size;
  auto loaded = recipe::load(path, overrides, facts);
  LoadedJob out;
  const auto& parallel = loaded.recipe.parallel;
  if (!loaded.complaints.empty() && facts.ranks > 1 && parallel.dp * parallel.pp == 1) {
    facts.ranks.reset();  // a task of its own, or one that lacks its company: MPI knows
    out.in_company = fmt::format("{}", fmt::join(loaded.complaints, "\n"));
    loaded = recipe::load(path, overrides, facts);
  }
  if (!loaded.complaints.empty()) {
    out.exit_code =
        fail_start(place, kExitUsage, fmt::format("{}", fmt::join(loaded.complaints, "\n")));
    return out;
  }
  out.recipe = std::move(loaded.recipe);
  out.resolved_recipe = std::move(loaded.resolved_text);
  out.at_key = std::move(loaded.complaint_at);
  require_training_device(out.recipe);
  return out;
}

Start start_of(const std::string& command, const std::vector<Fact>& options, const LoadedJob& job,
               const RankPlan& plan) {
  Start out;
  out.facts = start_facts(command, options, job.recipe);
  out.note = fmt::format("{} threads, {}", plan.threads, instruction_set(job.recipe));
  out.failure = job.in_company;
  if (!out.failure.empty()) out.exit_code = kExitUsage;
  return out;
}

int fail_start(const Place& place, int exit_code, const std::string& text) {
  if (place.speaks()) return say(exit_code, text);
  if (train::started_as_rank_zero(comm::kRankVariables)) return 0;
  // Rank 0 may have left with a failure of its own, and not every launcher then ends the job.
  constexpr double kPatienceSeconds = 20;
  const std::string mine = comm::host_name() + ": " + text;
  train::StartAlarm alarm(kPatienceSeconds, [=] { std::_Exit(say(exit_code, mine)); });
  comm::MpiSession session;
  Start start;
  start.exit_code = exit_code;
  start.failure = text;
  return agree_on_start(session.world(), start).value_or(exit_code);
}

int run_ranks(const Place& place, const RankPlan& plan, const Start& start, const RankBody& body) {
  return place.launched ? run_mpi(*place.launched, plan, start, body) : run_here(plan, body);
}

}  // namespace rw::launcher
