// Part of Ropewalk, MIT licence.
#include "launcher/commands/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "comm/session.h"
#include "core/error.h"
#include "core/json.h"
#include "data/corpus.h"
#include "launcher/inputs.h"
#include "launcher/recipe_facts.h"
#include "model/flops.h"
#include "pipeline/classic.h"
#include "pipeline/layout.h"
#include "pipeline/simulate.h"

namespace rw::launcher {
namespace {

using core::Json;

constexpr std::int64_t kCopies = 4;  // weight, gradient, two moments
constexpr std::int64_t kFloatBytes = 4;

/// Floats that one micro-batch keeps per token and layer between its passes (model/block.h).
std::int64_t kept_per_token(const model::Options& model) {
  const std::int64_t heads = model.num_attention_heads * model.head_dim;
  const std::int64_t width = heads + 2 * model.num_key_value_heads * model.head_dim;
  const std::int64_t qk_norm = model.name == "qwen3" ? width : 0;
  return 4 * model.hidden_size + width + qk_norm + heads + 3 * model.intermediate_size;
}

struct RankMemory {
  std::int64_t parameters = 0;
  std::int64_t state_bytes = 0;       // weights, gradients, moments
  std::int64_t activation_bytes = 0;  // kept by micro-batches under way, at most
};

std::vector<RankMemory> memory_per_rank(const recipe::Recipe& recipe, const pipeline::Plan& plan,
                                        const pipeline::Layout& layout) {
  std::vector<RankMemory> out(static_cast<std::size_t>(plan.ranks()));
  for (const auto& param : layout.params) {
    for (const int rank : param.ranks) {
      out[static_cast<std::size_t>(rank)].parameters += param.spec.shape.elems();
    }
  }
  const std::int64_t tokens = recipe.train.micro_batch_size * recipe.train.seq_len;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    auto& memory = out[static_cast<std::size_t>(rank)];
    memory.state_bytes = memory.parameters * kCopies * kFloatBytes;
    std::int64_t layers = 0;
    for (const int stage : layout.stages_of(rank)) {
      const auto& range = layout.stages[static_cast<std::size_t>(stage)].range;
      layers = std::max(layers, range.last_layer - range.first_layer);
    }
    const bool heads = layout.stages_of(rank).back() == plan.stages - 1;
    const std::int64_t logits = heads ? tokens * recipe.model.vocab_size * kFloatBytes : 0;
    memory.activation_bytes = logits + plan.live_bound[static_cast<std::size_t>(rank)] * layers *
                                           tokens * kept_per_token(recipe.model) * kFloatBytes;
  }
  return out;
}

Json facts_of(const recipe::Recipe& recipe) {
  const auto plan =
      pipeline::plan_for(recipe.parallel, recipe.pipeline,
                         recipe.train.global_batch_size / recipe.train.micro_batch_size);
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
  out["micro_batches"] = plan.micro_batches();
  out["tokens_per_step"] = recipe.train.global_batch_size * recipe.train.seq_len;
  out["flops_per_token"] = model::flops_per_token(recipe.model, recipe.train.seq_len);
  out["bubble_pct_planned"] = 100 * pipeline::simulate(plan, costs).mean_bubble();
  for (const auto& rank : memory_per_rank(recipe, plan, layout)) {
    out["memory_per_rank"].push_back({{"parameters", rank.parameters},
                                      {"state_bytes", rank.state_bytes},
                                      {"activation_bytes", rank.activation_bytes}});
  }
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
      "# {:.1f} M parameters, {} ranks, {} stages, {} micro-batches, {} tokens a "
      "step, {:.4g} FLOPs a token, planned bubble {:.1f} %\n",
      facts["parameters"].get<double>() / 1e6, facts["ranks"].get<int>(),
      facts["stages"].get<int>(), facts["micro_batches"].get<int>(),
      facts["tokens_per_step"].get<std::int64_t>(), facts["flops_per_token"].get<double>(),
      facts["bubble_pct_planned"].get<double>());
  int rank = 0;
  for (const auto& memory : facts["memory_per_rank"]) {
    std::cout << fmt::format(
        "# rank {}: {:.1f} MiB of weights, gradients and moments, about {:.1f} "
        "MiB of activations and logits at most (estimate)\n",
        rank++, memory["state_bytes"].get<double>() / kMebi,
        memory["activation_bytes"].get<double>() / kMebi);
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
