// Part of Ropewalk, MIT licence.
#include "launcher/commands/train.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/error.h"
#include "core/log.h"
#include "launcher/assemble.h"
#include "launcher/input_facts.h"
#include "launcher/ranks.h"
#include "launcher/recipe_facts.h"
#include "launcher/results.h"
#include "launcher/shared_folder.h"
#include "train/signals.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

constexpr int kExitPreempted = 75;
constexpr int kExitTerminated = 143;  // as a shell reports SIGTERM

/// What is the same for all ranks of the job.
struct Job {
  recipe::Recipe recipe;
  std::string resolved_recipe;
  AtKey at_key;
  Resume resume;
  bool overwrite = false;
  std::string recipe_file;
};

/// What a job says that was asked to leave.
std::string farewell(train::Ending ending, std::int64_t restored) {
  if (ending == train::Ending::kPreempted) {
    return "asked to leave: the checkpoint is committed; go on with --resume auto";
  }
  return restored > 0
             ? fmt::format(
                   "asked to leave: nothing new to save, step {} is committed; go "
                   "on with --resume auto",
                   restored)
             : "asked to leave before the first step: nothing to save; start it again with "
               "--resume auto";
}

int finish(const Job& job, Run& run, comm::Communicator& world, train::Ending ending) {
  if (run.trace != nullptr) run.trace->close();
  if (ending == train::Ending::kTerminated) return kExitTerminated;
  if (ending != train::Ending::kDone) {
    if (world.rank() == 0) core::log_info(farewell(ending, run.loop.first_step - 1));
    return kExitPreempted;
  }
  write_final(job.recipe, run, world);
  if (world.rank() == 0) core::log_info(fmt::format("done: {}/final", job.recipe.output_dir));
  return 0;
}

/// One rank from start to end. Collective.
int run_rank(const Job& job, const RankParts& rank) {
  comm::Communicator& world = rank.world;
  // A hung peer may hold this rank's training thread for ever: the watchdog's thread ends the job.
  train::Watchdog watchdog(world.duplicate(), job.recipe.watchdog,
                           [&world](const std::string& message) {
                             core::log_error("watchdog: " + message);
                             world.abort(kExitHang);
                             std::_Exit(kExitHang);
                           });
  rank.alarm.stop();
  Inputs inputs;
  together(world, [&] { inputs = open_inputs(job.recipe); });
  const bool processes = rank.plan.communicator == "mpi";
  if (processes) {
    std::vector<Fact> facts;
    together(world, [&] { facts = input_facts(job.recipe, *inputs.corpora); });
    require_same(world, facts);
  }
  if (world.rank() == 0) print_log(job.resolved_recipe);
  RunClaim claim;
  together(world, [&] {
    if (world.rank() != 0) return;
    claim = claim_run_folder({job.recipe.output_dir,
                              job.resume,
                              job.overwrite,
                              {job.recipe_file, job.recipe.pipeline.problem,
                               job.recipe.pipeline.solution, job.recipe.pipeline.topology}});
  });
  // A resume whose output_dir is not there yet has none that ranks could share.
  const bool there = world.gather_text(claim.lock.get() >= 0 ? "there" : "").front() == "there";
  if (processes && there) require_shared_folder(world, job.recipe.output_dir, claim.lock);
  Run run =
      assemble(job.recipe, job.resolved_recipe, job.resume, job.at_key, std::move(inputs), world);
  together(world, [&] {
    if (world.rank() != 0) return;
    record_run(job.recipe.output_dir, job.resolved_recipe,
               environment_json(world.size(), rank.plan.threads, rank.plan.communicator), claim);
    core::log_add_file(job.recipe.output_dir + "/log/rank-0.txt");
  });
  if (processes && !there) require_shared_folder(world, job.recipe.output_dir, claim.lock);
  together(world, [&] {
    if (!processes || world.rank() == 0) return;
    core::log_add_file(fmt::format("{}/log/rank-{}.txt", job.recipe.output_dir, world.rank()));
  });
  open_outputs(job.recipe, run, world);
  const train::LoopParts parts{*run.method, world,        *run.checkpointer,
                               watchdog,    rank.signals, &run.sinks};
  const auto ending = train::run_loop(parts, run.loop);
  return finish(job, run, world, ending);
}

}  // namespace

int run_train(const TrainOptions& options) {
  const Place place = find_place();
  Job job;
  job.resume = parse_resume(options.resume);
  job.overwrite = options.overwrite;
  job.recipe_file = options.recipe;
  if (job.overwrite && job.resume.kind != Resume::Kind::kNever) {
    throw Error(ErrorKind::kUsage,
                "--overwrite starts anew and --resume goes on; give one of them");
  }
  auto loaded = load_job(place, options.recipe, options.overrides, gather_facts());
  if (loaded.exit_code) return *loaded.exit_code;
  const RankPlan plan = plan_ranks(place, loaded.recipe);
  const Start start = start_of(
      "train", {{"--resume", options.resume}, {"--overwrite", options.overwrite ? "yes" : "no"}},
      loaded, plan);
  job.recipe = std::move(loaded.recipe);
  job.resolved_recipe = std::move(loaded.resolved_recipe);
  job.at_key = std::move(loaded.at_key);
  return run_ranks(place, plan, start,
                   [&job](const RankParts& rank) { return run_rank(job, rank); });
}

}  // namespace rw::launcher
