// Part of Ropewalk, MIT licence.
#include "launcher/assemble.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "ckpt/reader.h"
#include "comm/session.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "data/order.h"
#include "launcher/inputs.h"
#include "launcher/topology_plan.h"
#include "metrics/append_file.h"
#include "metrics/process_memory.h"
#include "model/flops.h"
#include "model/hf.h"
#include "model/resolve.h"
#include "pipeline/path_planner.h"
#include "pipeline/planners.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;
using core::Error;
using core::ErrorKind;

model::Options model_options(const recipe::Recipe& recipe, const data::Corpora& corpora) {
  model::Options out = recipe.model;
  model::resolve(out, recipe.train.seq_len);
  if (out.eos_token_ids.empty()) out.eos_token_ids = {corpora.file(0).info().end_of_text};
  return out;
}

/// What must be the same for a checkpoint to go on: all that the numbers depend on.
ckpt::RunIdentity identity(const recipe::Recipe& recipe, const model::Options& model,
                           const data::Corpora& corpora, const std::string& resolved_recipe) {
  ckpt::RunIdentity out;
  out.recipe = resolved_recipe;
  out.dp = static_cast<std::uint32_t>(recipe.parallel.dp);
  out.pp = static_cast<std::uint32_t>(recipe.parallel.pp);
  const auto& rope = model.rope_parameters;
  out.same["model"] = fmt::format(
      "{} hidden {} layers {} heads {}/{} head_dim {} intermediate {} vocab {} tied {} eps {} rope "
      "{} {} factor {} low {} high {} original {}",
      model.name, model.hidden_size, model.num_hidden_layers, model.num_attention_heads,
      model.num_key_value_heads, model.head_dim, model.intermediate_size, model.vocab_size,
      model.tie_word_embeddings, model.rms_norm_eps, rope.rope_type, rope.rope_theta, rope.factor,
      rope.low_freq_factor, rope.high_freq_factor, rope.original_max_position_embeddings);
  out.same["method"] = recipe.method;
  out.same["parallel.dp"] = std::to_string(recipe.parallel.dp);
  out.same["parallel.pp"] = std::to_string(recipe.parallel.pp);
  const auto data = [&](const std::string& digest) {
    return fmt::format("{} {} seed {} seq_len {} global_batch_size {}", digest, recipe.data.order,
                       recipe.seed, recipe.train.seq_len, recipe.train.global_batch_size);
  };
  out.same["data"] = data(corpora.digest());
  out.former["data"] = data(corpora.former_digest());
  return out;
}

fs::path plan_file(const recipe::Recipe& recipe, std::size_t turn) {
  const std::string name = turn == 0 ? "plan.json" : fmt::format("plan.{}.json", turn + 1);
  return fs::path(recipe.output_dir) / "plan" / name;
}

std::vector<std::string> texts_of(const pipeline::PlanCycle& plans) {
  std::vector<std::string> out;
  for (const pipeline::Plan& plan : plans.plans) {
    out.push_back(pipeline::to_json(plan).dump() + "\n");
  }
  return out;
}

/// output_dir/plan/plan.json: what every rank does in one step; plan.2.json, …: in those that take
/// another turn. Those of a former run with more turns go. True when other ones were there.
bool write_plans(const recipe::Recipe& recipe, const std::vector<std::string>& texts,
                 store::Store& store) {
  bool others = false;
  for (std::size_t turn = 0; turn < texts.size(); ++turn) {
    const std::string path = plan_file(recipe, turn).string();
    const std::string former = metrics::read_text(path);
    others = others || (!former.empty() && former != texts[turn]);
    store::write_whole(store, path, texts[turn]);
  }
  for (std::size_t turn = texts.size(); fs::remove(plan_file(recipe, turn)); ++turn) others = true;
  return others;
}

/// What rank 0 tells people.
void add_reporting(const recipe::Recipe& recipe, pipeline::TrainerParts& parts) {
  const fs::path path = fs::path(recipe.output_dir) / "plan" / "timeline.jsonl";
  // Shared by the copies that a std::function makes of itself.
  const auto file = std::make_shared<std::unique_ptr<metrics::AppendFile>>();  // once there is one
  parts.timeline = [file, path](const metrics::StepTimeline& timeline) {
    if (*file == nullptr) {
      *file =
          std::make_unique<metrics::AppendFile>(path.string(), metrics::AppendFile::Start::kAtEnd);
    }
    (*file)->append(metrics::to_json(timeline).dump() + "\n");
  };
  parts.note = [](const std::string& text) { core::log_info(text); };
}

/// The folder of the checkpoint to go on from; nullopt: start anew.
std::optional<std::string> choose(const Resume& resume, Run& run, comm::Communicator& world) {
  std::optional<std::string> folder;
  together(world, [&] {
    if (resume.kind == Resume::Kind::kStep) folder = run.checkpointer->find(resume.step);
    if (resume.kind == Resume::Kind::kAuto) folder = run.checkpointer->newest();
    if (resume.kind == Resume::Kind::kPath) {
      folder = ckpt::resolve_checkpoint(*run.store, resume.path);
    }
  });
  if (!folder && resume.kind == Resume::Kind::kAuto && world.rank() == 0) {
    core::log_info("resume: no checkpoint yet, starting anew");
  }
  return folder;
}

/// The step that was restored; 0: a start anew.
std::int64_t restore(const recipe::Recipe& recipe, const Resume& resume, const AtKey& at_key,
                     const ckpt::RunIdentity& identity, Run& run, comm::Communicator& world) {
  run.restored_from = choose(resume, run, world);
  if (!run.restored_from) return 0;
  const std::string& folder = *run.restored_from;
  std::string changes;
  std::int64_t step = 0;
  together(world, [&] {
    if (world.rank() != 0) return;
    changes =
        resume_changes(folder, ckpt::read_manifest(*run.store, folder), recipe, identity, at_key);
  });
  together(world, [&] { step = run.checkpointer->restore(folder, *run.method); });
  if (world.rank() == 0) {
    core::log_info(fmt::format("resume: going on after step {} from {}", step, folder));
    if (!changes.empty()) core::log_info("resume: differs from the checkpoint: " + changes);
  }
  return step;
}

/// mpirun gives its ranks a terminal of its own making as stdout, wherever it writes itself: there
/// its own stdout decides. Where that cannot be seen (another host), it is none.
bool stdout_is_terminal() {
  if (::isatty(STDOUT_FILENO) != 1) return false;
  if (!comm::launcher_rank(std::getenv)) return true;
  const std::string parent = fmt::format("/proc/{}/fd/1", ::getppid());
  struct stat status {};
  return ::stat(parent.c_str(), &status) == 0 && S_ISCHR(status.st_mode) &&
         fs::read_symlink(parent).string().rfind("/dev/pts/", 0) == 0;
}

void add_sinks(const recipe::Recipe& recipe, std::int64_t restored, Run& run) {
  const fs::path folder = recipe.output_dir;
  run.sinks.push_back(
      metrics::make_jsonl((folder / "metrics.jsonl").string(), restored > 0 ? restored : -1));
  if (recipe.log.tensorboard) {
    run.sinks.push_back(metrics::make_tensorboard((folder / "tb").string(), restored + 1));
  }
  metrics::TerminalOptions terminal;
  const bool tty = stdout_is_terminal();
  terminal.colour = tty && std::getenv("NO_COLOR") == nullptr;
  terminal.bar = tty;
  run.sinks.push_back(metrics::make_terminal(recipe.train.max_steps, terminal));
}

train::LoopOptions loop_options(const recipe::Recipe& recipe, const model::Options& model,
                                std::int64_t restored) {
  train::LoopOptions out;
  out.first_step = restored + 1;
  out.max_steps = recipe.train.max_steps;
  out.log_interval = recipe.log.interval;
  out.checkpoint_interval = recipe.checkpoint.interval;
  out.validation_interval = recipe.data.validation_interval;
  out.output_dir = recipe.output_dir;
  out.flops_per_token = model::flops_per_token(model, recipe.train.seq_len);
  out.flops_formula = model::kFlopsFormula;
  return out;
}

}  // namespace

pipeline::TrainerOptions trainer_options(const recipe::Recipe& recipe,
                                         const data::Corpora& corpora) {
  pipeline::TrainerOptions out;
  out.model = model_options(recipe, corpora);
  out.optimizer = recipe.optimizer;
  out.schedule = recipe.lr_scheduler;
  out.parallel = recipe.parallel;
  out.pipeline = recipe.pipeline;
  out.emulation = pipeline::make_emulation(
      recipe.pipeline, static_cast<int>(recipe.parallel.dp * recipe.parallel.pp));
  out.seed = recipe.seed;
  out.seq_len = recipe.train.seq_len;
  out.micro_batch_size = recipe.train.micro_batch_size;
  out.global_batch_size = recipe.train.global_batch_size;
  out.max_steps = recipe.train.max_steps;
  out.clip_grad_norm = recipe.train.clip_grad_norm;
  out.recompute = {model::recompute_of(recipe.train.recompute), recipe.train.recompute_full_layers};
  if (recipe.precision == "bf16") out.compute = core::DType::kBF16;
  out.timeline_interval = recipe.log.timeline_interval;
  return out;
}

std::unique_ptr<core::Method> make_method(const recipe::Recipe& recipe,
                                          const pipeline::TrainerOptions& trainer,
                                          pipeline::TrainerParts parts, pipeline::PlanCycle plans) {
  parts.loader_threads = recipe.data.loader_threads;
  parts.prefetch_steps = recipe.data.prefetch_steps;
  return pipeline::make_trainer(trainer, std::move(parts), std::move(plans));
}

pipeline::PlanCycle make_plans(const recipe::Recipe& recipe) {
  if (!recipe.pipeline.topology.empty()) return plans_on_topology(recipe);
  return pipeline::plans_for(recipe.parallel, recipe.pipeline,
                             recipe.train.global_batch_size / recipe.train.micro_batch_size);
}

std::shared_ptr<const data::Order> make_order(const recipe::Recipe& recipe,
                                              const data::Corpora& corpora) {
  std::vector<std::int64_t> samples;
  std::vector<double> weights;
  for (std::size_t i = 0; i < corpora.size(); ++i) {
    samples.push_back(corpora.samples(i));
    weights.push_back(recipe.data.sources[i].weight);
  }
  return std::make_shared<data::Order>(samples, weights, recipe.data.order, recipe.seed,
                                       recipe.train.global_batch_size);
}

void together(comm::Communicator& world, const std::function<void()>& body) {
  std::string mine;
  try {
    body();
  } catch (const Error& error) {
    mine = fmt::format("{}\n{}", error.exit_code(), error.what());
  }
  const auto all = world.gather_text(mine);
  const auto failed =
      std::find_if(all.begin(), all.end(), [](const std::string& text) { return !text.empty(); });
  if (failed == all.end()) return;
  const auto cut = failed->find('\n');
  AgreedFailure failure;
  failure.exit_code = std::stoi(failed->substr(0, cut));
  failure.message = failed->substr(cut + 1);
  throw failure;
}

Inputs open_inputs(const recipe::Recipe& recipe) {
  Inputs out;
  const auto& train = recipe.train;
  out.corpora = std::make_shared<data::Corpora>(recipe.data, train.seq_len);
  out.trainer = trainer_options(recipe, *out.corpora);
  check_inputs(recipe, *out.corpora);
  out.plans = make_plans(recipe);
  out.transfer_s = known_transfers(recipe);
  if (!recipe.data.validation.empty()) {
    out.validation =
        std::make_unique<data::Validation>(recipe.data, train.seq_len, train.micro_batch_size);
  }
  return out;
}

Run assemble(const recipe::Recipe& recipe, const std::string& resolved_recipe, const Resume& resume,
             const AtKey& at_key, Inputs inputs, comm::Communicator& world) {
  Run run;
  run.store = store::make_posix();
  run.corpora = std::move(inputs.corpora);
  const model::Options& model = inputs.trainer.model;
  std::uint64_t memory_before = 0;
  together(world, [&] {
    if (recipe.log.trace) run.trace = std::make_unique<metrics::Trace>(world.rank());
    memory_before = metrics::process_memory().resident_bytes;  // no rank builds its model yet
  });
  pipeline::TrainerParts parts{world, run.corpora, make_order(recipe, *run.corpora)};
  parts.validation = std::move(inputs.validation);
  parts.trace = run.trace.get();
  if (world.rank() == 0) add_reporting(recipe, parts);
  if (world.rank() == 0) parts.replan = pipeline::make_replan(std::move(inputs.transfer_s));
  if (world.rank() == 0) run.plans = texts_of(inputs.plans);
  run.method = make_method(recipe, inputs.trainer, std::move(parts), std::move(inputs.plans));

  const auto same = identity(recipe, model, *run.corpora, resolved_recipe);
  const fs::path folder = fs::path(recipe.output_dir) / "checkpoints";
  run.checkpointer = std::make_unique<ckpt::Checkpointer>(
      *run.store, folder.string(), recipe.checkpoint, world.duplicate(), same);
  const std::int64_t restored = restore(recipe, resume, at_key, same, run, world);
  if (world.rank() == 0 && restored > recipe.train.max_steps) {
    core::log_warning(fmt::format(
        "resume: the checkpoint at step {} is beyond train.max_steps {}: nothing is trained; try "
        "train.max_steps above {}, or --resume with an earlier step",
        restored, recipe.train.max_steps, restored));
  }
  run.loop = loop_options(recipe, model, restored);
  run.loop.memory_before_bytes = memory_before;
  return run;
}

void open_outputs(const recipe::Recipe& recipe, Run& run, comm::Communicator& world) {
  const std::int64_t restored = run.loop.first_step - 1;
  together(world, [&] {
    if (restored > 0) run.checkpointer->go_on_from(*run.restored_from, restored, *run.method);
  });
  together(world, [&] {
    if (run.trace != nullptr) {
      const auto name = fmt::format("rank-{}.json", world.rank());
      run.trace->open((fs::path(recipe.output_dir) / "trace" / name).string());
    }
    if (world.rank() != 0) return;
    add_sinks(recipe, restored, run);
    if (write_plans(recipe, run.plans, *run.store) && restored > 0) {
      core::log_info(
          "resume: on another plan than that of plan/plan.json, which is the new one now");
    }
  });
}

void write_final(const recipe::Recipe& recipe, Run& run, comm::Communicator& world) {
  const fs::path target = fs::path(recipe.output_dir) / "final";
  const fs::path aside = fs::path(recipe.output_dir) / "final.part";
  together(world, [&] {
    if (world.rank() == 0) run.store->remove_tree(aside.string());
  });
  run.method->export_model(aside.string());
  together(world, [&] {
    if (world.rank() != 0) return;
    const auto& corpus = run.corpora->file(0);
    model::write_tokenizer(aside.string(), corpus.tokenizer_json(), corpus.info().end_of_text);
    run.store->sync_folder(aside.string());
    run.store->remove_tree(target.string());
    run.store->rename(aside.string(), target.string());
    run.store->sync_folder(recipe.output_dir);
  });
}

}  // namespace rw::launcher
