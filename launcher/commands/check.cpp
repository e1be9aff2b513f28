// Part of Ropewalk, MIT licence.
#include "launcher/commands/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "data/corpus.h"
#include "kernels/threads.h"
#include "launcher/assemble.h"
#include "launcher/inputs.h"
#include "launcher/ranks.h"
#include "launcher/recipe_facts.h"
#include "model/flops.h"
#include "pipeline/forecast.h"

namespace rw::launcher {
namespace {

using core::Json;

/// What a process and a rank hold beside tensors once they train, by measurement
/// (benchmarks/memory): code and tables that are touched for the first time, stacks, queues.
constexpr std::int64_t kProcessBytes = std::int64_t{24} << 20;
constexpr std::int64_t kRankBytes = std::int64_t{12} << 20;

/// Bytes of the files that all ranks of a machine map: what of them is resident the system takes back when memory
/// is short.
std::int64_t mapped_bytes(const data::Corpora& corpora) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < corpora.size(); ++i) {
    sum += static_cast<std::int64_t>(std::filesystem::file_size(corpora.file(i).path()));
  }
  return sum;
}

/// The peak of every rank as a process of its own, itemised, and of one process that holds them all (ranks as
/// threads); both without the corpus.
void add_memory(const pipeline::Forecast& forecast, Json& out) {
  std::vector<Json> kinds;
  for (const auto& kind : forecast.kinds) {
    auto parts = kind.memory.parts;
    parts["runtime"] = kRankBytes + kProcessBytes;
    kinds.push_back({{"parameters", kind.parameters},
                     {"peak_bytes", kind.memory.peak_bytes + kRankBytes + kProcessBytes},
                     {"parts", parts}});
  }
  __extension__ __int128 process = kProcessBytes;
  for (const std::size_t kind : forecast.kind_of_rank) {
    process += forecast.kinds[kind].memory.peak_bytes + kRankBytes;
    out["memory_per_rank"].push_back(kinds[kind]);
  }
  const bool fits = process <= std::numeric_limits<std::int64_t>::max();
  out["memory_process_bytes"] =
      fits ? Json(static_cast<std::int64_t>(process)) : Json(static_cast<double>(process));
}

/// Plans that are read from files; none where there are none to read.
std::optional<pipeline::PlanCycle> given_plans(const recipe::Recipe& recipe) {
  const auto& pipeline = recipe.pipeline;
  if (pipeline.topology.empty() && pipeline.solution.empty() && !pipeline.emulate) return {};
  return make_plans(recipe);
}

/// Throws what reading the first row of training throws.
void read_first_row(const recipe::Recipe& recipe, const data::Corpora& corpora) {
  const auto first = make_order(recipe, corpora)->at(1, 0);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(recipe.train.seq_len) + 1);
  corpora.read_sample(first.source, first.sample, tokens);
}

/// What can be foreseen and not yet be run.
void warn_of_tags(const pipeline::Forecast& forecast) {
  if (forecast.stages == 1 || forecast.micro_batches <= pipeline::kMostTagged / forecast.stages) {
    return;
  }
  core::log_warning(fmt::format(
      "train.micro_batch_size: this version trains at most {} micro-batches a step on {} stages, "
      "got {}: train will want larger ones",
      pipeline::kMostTagged / forecast.stages, forecast.stages, forecast.micro_batches));
}

Json facts_of(const recipe::Recipe& recipe) {
  const data::Corpora corpora(recipe.data, recipe.train.seq_len);
  read_first_row(recipe, corpora);
  kernels::set_threads(plan_ranks({}, recipe).threads);  // some scratch is per thread
  const auto forecast = pipeline::forecast(trainer_options(recipe, corpora),
                                           recipe.data.prefetch_steps, given_plans(recipe));
  warn_of_tags(forecast);
  Json out;
  out["parameters"] = forecast.parameters;
  out["ranks"] = forecast.kind_of_rank.size();
  out["stages"] = forecast.stages;
  out["head_alone"] = forecast.head_alone;
  out["micro_batches"] = forecast.micro_batches;
  out["tokens_per_step"] = recipe.train.global_batch_size * recipe.train.seq_len;
  out["flops_per_token"] = model::flops_per_token(recipe.model, recipe.train.seq_len);
  out["bubble_pct_planned"] = 100 * forecast.bubble;
  add_memory(forecast, out);
  out["corpus_bytes"] = mapped_bytes(corpora);
  return out;
}

Json complaints_json(const recipe::Loaded& loaded) {
  Json out = Json::array();
  for (const auto& one : loaded.details) {
    out.push_back({{"file", one.file},
                   {"line", one.line},
                   {"column", one.column},
                   {"key", one.key},
                   {"message", one.message}});
  }
  return out;
}

void print_facts(const Json& facts) {
  constexpr double kMebi = 1 << 20;
  std::cout << fmt::format(
      "# {:.1f} M parameters, {} ranks, {} stages{}, {} micro-batches, {} tokens a "
      "step, {:.4g} FLOPs a token, planned bubble {:.1f} %\n",
      facts["parameters"].get<double>() / 1e6, facts["ranks"].get<int>(),
      facts["stages"].get<int>(),
      facts["head_alone"].get<bool>() ? " (the last one: the head)" : "",
      facts["micro_batches"].get<std::int64_t>(), facts["tokens_per_step"].get<std::int64_t>(),
      facts["flops_per_token"].get<double>(), facts["bubble_pct_planned"].get<double>());
  int rank = 0;
  for (const auto& memory : facts["memory_per_rank"]) {
    std::string parts;
    for (const auto& [what, bytes] : memory["parts"].items()) {
      parts +=
          fmt::format("{}{} {:.1f}", parts.empty() ? "" : ", ", what, bytes.get<double>() / kMebi);
    }
    std::cout << fmt::format("# rank {}: {:.1f} MiB at most: {}\n", rank++,
                             memory["peak_bytes"].get<double>() / kMebi, parts);
  }
  std::cout << fmt::format(
      "# the corpus is mapped: up to {:.1f} MiB more count as resident, which the system takes "
      "back when "
      "memory is short\n",
      facts["corpus_bytes"].get<double>() / kMebi);
  if (rank > 1) {
    std::cout << fmt::format("# all ranks in one process: {:.1f} MiB at most\n",
                             facts["memory_process_bytes"].get<double>() / kMebi);
  }
}

}  // namespace

int run_check(const CheckOptions& options) {
  const auto loaded = recipe::load(options.recipe, options.overrides, gather_facts());
  Json out;
  out["ok"] = loaded.complaints.empty();
  out["complaints"] = complaints_json(loaded);
  if (!loaded.complaints.empty()) {
    for (const auto& complaint : loaded.complaints) std::cerr << complaint << '\n';
    if (options.json) std::cout << out.dump(2) << '\n';
    return 2;
  }
  try {
    require_training_device(loaded.recipe);
    check_inputs(loaded.recipe, data::Corpora(loaded.recipe.data, loaded.recipe.train.seq_len));
  } catch (const core::Error& error) {
    out["ok"] = false;
    out["error"] = error.what();
    if (options.json) std::cout << out.dump(2) << '\n';
    throw;
  }
  const Json facts = facts_of(loaded.recipe);
  (options.json ? std::cerr : std::cout) << loaded.resolved_text;
  if (options.json) {
    out["resolved"] = loaded.resolved_text;
    for (const auto& [key, value] : facts.items()) out[key] = value;
    std::cout << out.dump(2) << '\n';
  } else {
    print_facts(facts);
  }
  return 0;
}

}  // namespace rw::launcher
