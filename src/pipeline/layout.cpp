// Part of Ropewalk, MIT licence.
#include "pipeline/layout.h"

#include <algorithm>
#include <charconv>

#include "pipeline/placement.h"

namespace rw::pipeline {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kLayers = "model.layers.";

/// The layer that a parameter belongs to; -1: none.
std::int64_t layer_of(const std::string& name) {
  const std::string front = kLayers;
  if (name.rfind(front, 0) != 0) return -1;
  std::int64_t layer = -1;
  std::from_chars(name.data() + front.size(), name.data() + name.size(), layer);
  return layer;
}

bool uses(const model::StageRange& range, const std::string& name, bool tied) {
  const std::int64_t layer = layer_of(name);
  if (layer >= 0) return range.first_layer <= layer && layer < range.last_layer;
  if (name == kEmbedding) return range.embedding || (tied && range.head);
  return range.head;  // final norm, untied head
}

}  // namespace

std::vector<int> Layout::stages_of(int rank) const {
  std::vector<int> out;
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const auto& ranks = stages[s].ranks;
    if (std::binary_search(ranks.begin(), ranks.end(), rank)) out.push_back(static_cast<int>(s));
  }
  return out;
}

Layout make_layout(const model::Options& options, const Plan& plan,
                   const std::vector<std::int64_t>& stage_split) {
  Layout out;
  auto layers =
      stage_layers(options.num_hidden_layers, plan.stages - (plan.head_alone ? 1 : 0), stage_split);
  if (plan.head_alone) layers.emplace_back(options.num_hidden_layers, options.num_hidden_layers);
  for (std::size_t s = 0; s < layers.size(); ++s) {
    StageLayout stage;
    stage.range = {layers[s].first, layers[s].second, s == 0, s + 1 == layers.size()};
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      const auto& held = plan.stages_of_rank[static_cast<std::size_t>(rank)];
      if (std::find(held.begin(), held.end(), static_cast<int>(s)) != held.end()) {
        stage.ranks.push_back(rank);
      }
    }
    out.stages.push_back(std::move(stage));
  }
  for (auto& spec : model::param_table(options)) {
    ParamLayout param;
    for (std::size_t s = 0; s < out.stages.size(); ++s) {
      const StageLayout& stage = out.stages[s];
      if (!uses(stage.range, spec.name, options.tie_word_embeddings)) continue;
      param.stages.push_back(static_cast<int>(s));
      param.ranks.insert(param.ranks.end(), stage.ranks.begin(), stage.ranks.end());
    }
    std::sort(param.ranks.begin(), param.ranks.end());
    param.ranks.erase(std::unique(param.ranks.begin(), param.ranks.end()), param.ranks.end());
    param.spec = std::move(spec);
    out.params.push_back(std::move(param));
  }
  return out;
}

std::vector<double> stage_costs(const model::Options& options, const Layout& layout) {
  std::vector<double> out(layout.stages.size(), 0);
  for (const ParamLayout& param : layout.params) {
    if (param.spec.shape.rank() < 2) continue;
    for (const int stage : param.stages) {
      const bool lookup = param.spec.name == kEmbedding &&
                          !(options.tie_word_embeddings &&
                            layout.stages[static_cast<std::size_t>(stage)].range.head);
      if (!lookup) {
        out[static_cast<std::size_t>(stage)] += static_cast<double>(param.spec.shape.elems());
      }
    }
  }
  return out;
}

}  // namespace rw::pipeline
