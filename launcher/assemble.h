// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckpt/checkpointer.h"
#include "comm/communicator.h"
#include "core/method.h"
#include "data/corpus.h"
#include "data/validation.h"
#include "launcher/resume_changes.h"
#include "launcher/run_folder.h"
#include "metrics/sinks.h"
#include "metrics/trace.h"
#include "pipeline/trainer.h"
#include "recipe/recipe.h"
#include "train/loop.h"
#include "train/watchdog.h"

namespace rw::launcher {

/// What a run reads, opened and compared with each other and the recipe before anything is written.
struct Inputs {
  std::shared_ptr<const data::Corpora> corpora;
  pipeline::TrainerOptions trainer;
  pipeline::PlanCycle plans;
  std::vector<std::vector<double>> transfer_s;   // between ranks, where the recipe says; or empty
  std::unique_ptr<data::Validation> validation;  // none when the recipe names none
};

/// What one rank trains with; members are declared in the order in which they need each other, so
/// that they close in the right one.
struct Run {
  std::unique_ptr<store::Store> store;
  std::shared_ptr<const data::Corpora> corpora;
  std::unique_ptr<metrics::Trace> trace;
  std::unique_ptr<core::Method> method;
  std::unique_ptr<ckpt::Checkpointer> checkpointer;
  std::optional<std::string> restored_from;           // the checkpoint's folder
  std::vector<std::string> plans;                     // as files; rank 0 only
  std::vector<std::unique_ptr<metrics::Sink>> sinks;  // rank 0 only
  train::LoopOptions loop;
};

/// What a failure that every rank knows of carries: all leave with the same code, rank 0 says why.
struct AgreedFailure {
  int exit_code = 1;
  std::string message;
};

/// Runs `body` on every rank; when it fails on some, throws AgreedFailure (the lowest such rank's
/// error) on all. Collective.
void together(comm::Communicator& world, const std::function<void()>& body);

/// The order of samples that a recipe asks for.
std::shared_ptr<const data::Order> make_order(const recipe::Recipe& recipe,
                                              const data::Corpora& corpora);

/// What the recipe's trainer is made from. Throws Error{kRecipe} when the numbers make no model.
pipeline::TrainerOptions trainer_options(const recipe::Recipe& recipe,
                                         const data::Corpora& corpora);

/// The plans that a recipe asks for. Throws what pipeline::plans_for throws.
pipeline::PlanCycle make_plans(const recipe::Recipe& recipe);

/// The training method that a recipe asks for, on open corpora. `parts` may carry a trace and
/// validation. Collective.
std::unique_ptr<core::Method> make_method(const recipe::Recipe& recipe,
                                          const pipeline::TrainerOptions& trainer,
                                          pipeline::TrainerParts parts, pipeline::PlanCycle plans);

/// Throws core::Error{kDataMissing, kDataMalformed, kRecipe} for inputs that do not fit the recipe.
/// Not collective.
Inputs open_inputs(const recipe::Recipe& recipe);

/// Recipe -> objects: the only place that names concrete classes. Collective; restores a checkpoint
/// as `resume` asks, and writes nothing. Throws AgreedFailure for what all ranks know, core::Error
/// otherwise.
Run assemble(const recipe::Recipe& recipe, const std::string& resolved_recipe, const Resume& resume,
             const AtKey& at_key, Inputs inputs, comm::Communicator& world);

/// The files that a run writes beside its checkpoints, from its first step on: plans, metrics, traces.
/// Checkpoints and lines later than that step are left behind. Collective.
void open_outputs(const recipe::Recipe& recipe, Run& run, comm::Communicator& world);

/// Writes output_dir/final: model and tokenizer in Hugging Face layout, aside and then renamed.
/// Collective.
void write_final(const recipe::Recipe& recipe, Run& run, comm::Communicator& world);

}  // namespace rw::launcher
