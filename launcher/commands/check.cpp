// Part of Ropewalk, MIT licence.
#include "launcher/commands/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "comm/session.h"
#include "core/error.h"
#include "core/json.h"
#include "data/corpus.h"
#include "kernels/threads.h"
#include "launcher/assemble.h"
#include "launcher/inputs.h"
#include "launcher/ranks.h"
#include "launcher/recipe_facts.h"
#include "model/flops.h"
#include "pipeline/layout.h"
#include "pipeline/memory.h"
#include "pipeline/simulate.h"

namespace rw::launcher {
namespace {

using core::Json;

/// What a process and a rank hold beside tensors once they train, by measurement
/// (benchmarks/memory): code and tables that are touched for the first time, stacks, queues.
constexpr std::int64_t kProcessBytes = std::int64_t{24} << 20;
constexpr std::int64_t kRankBytes = std::int64_t{12} << 20;

std::int64_t parameters_of(const pipeline::Layout& layout, int rank) {
  std::int64_t sum = 0;
  for (const auto& param : layout.params) {
    if (std::binary_search(param.ranks.begin(), param.ranks.end(), rank)) {
      sum += param.spec.shape.elems();
    }
  }
  return sum;
}

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
void add_memory(const recipe::Recipe& recipe, const pipeline::PlanCycle& plans,
                const pipeline::Layout& layout, Json& out) {
  const auto corpora = std::make_shared<data::Corpora>(recipe.data, recipe.train.seq_len);
  const auto order = make_order(recipe, *corpora);
  const auto options = trainer_options(recipe, *corpora);
  kernels::set_threads(plan_ranks(find_place(), recipe).threads);  // some scratch is per thread
  std::int64_t process = kProcessBytes;
  for (int rank = 0; rank < recipe.parallel.dp * recipe.parallel.pp; ++rank) {
    auto memory =
        pipeline::predict_memory(options, corpora, order, recipe.data.prefetch_steps, rank, plans);
    memory.parts["runtime"] = kRankBytes + kProcessBytes;
    const std::int64_t peak = memory.peak_bytes + kRankBytes + kProcessBytes;
    process += peak - kProcessBytes;
    out["memory_per_rank"].push_back({{"parameters", parameters_of(layout, rank)},
                                      {"peak_bytes", peak},
                                      {"parts", memory.parts}});
  }
  out["memory_process_bytes"] = process;
  out["corpus_bytes"] = mapped_bytes(*corpora);
}

Json facts_of(const recipe::Recipe& recipe) {
  const auto plans = make_plans(recipe);
  const pipeline::Plan& plan = plans.plans.front();
  const auto layout = pipeline::make_layout(recipe.model, plan, recipe.pipeline.stage_split);
  pipeline::Costs costs;
  costs.forward = costs.backward_input = costs.backward_weight =
      pipeline::stage_costs(recipe.model, layout);
  Json out;
  std::int64_t parameters = 0;
  for (const auto& param : layout.params) parameters += param.spec.shape.elems();
  out["parameters"] = parameters;
  out["ranks"] = plan.ranks();
  out["stages"] = plan.stages;
  out["head_alone"] = plan.head_alone;
  out["micro_batches"] = plan.micro_batches();
  out["tokens_per_step"] = recipe.train.global_batch_size * recipe.train.seq_len;
  out["flops_per_token"] = model::flops_per_token(recipe.model, recipe.train.seq_len);
  out["bubble_pct_planned"] = 100 * pipeline::simulate(plan, costs).mean_bubble();
  add_memory(recipe, plans, layout, out);
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
      facts["micro_batches"].get<int>(), facts["tokens_per_step"].get<std::int64_t>(),
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
  const auto place = comm::launcher_rank([](const char* name) { return std::getenv(name); });
  if (place && place->rank > 0) return 0;  // rank 0 says it once
  const auto loaded = recipe::load(options.recipe, options.overrides, gather_facts(std::nullopt));
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
