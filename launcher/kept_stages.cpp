// Part of Ropewalk, MIT licence.
#include "launcher/kept_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "pipeline/placement.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

constexpr std::int64_t kMostStages = 16;  // for random choices, which are all listed

[[noreturn]] void refuse(const std::string& got, std::int64_t stages) {
  throw Error(
      ErrorKind::kUsage,
      fmt::format("--keep-stages: got {}, want stages of 0 to {} with 0 among them, as "
                  "0,{}; or random:K with K from 1 to {}, as random:{}:7",
                  got, stages - 1, stages - 1, stages, std::max<std::int64_t>(1, stages / 2)));
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, at);) out.push_back(part);
  return out;
}

template <class T>
bool read(const std::string& text, T& out) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  return code == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// Neighbours are put together, so that all stages give the whole model in one piece.
model::LayerRanges ranges_of(const std::set<std::int64_t>& kept, const model::LayerRanges& stages) {
  model::LayerRanges out;
  for (const std::int64_t stage : kept) {
    const auto& range = stages[static_cast<std::size_t>(stage)];
    if (!out.empty() && out.back().second == range.first) {
      out.back().second = range.second;
    } else {
      out.push_back(range);
    }
  }
  return out;
}

/// All sets of `count` stages with 0 among them.
std::vector<std::set<std::int64_t>> all_sets(std::int64_t stages, std::int64_t count) {
  std::vector<std::set<std::int64_t>> out{{0}};
  for (std::int64_t stage = 1; stage < stages; ++stage) {
    const std::size_t before = out.size();
    for (std::size_t i = 0; i < before; ++i) {
      if (static_cast<std::int64_t>(out[i].size()) == count) continue;
      auto with = out[i];
      with.insert(stage);
      out.push_back(std::move(with));
    }
    // What can no longer grow to `count` is of no use.
    std::erase_if(out, [&](const auto& set) {
      return static_cast<std::int64_t>(set.size()) + stages - 1 - stage < count;
    });
  }
  return out;
}

std::set<std::int64_t> named(const std::string& text, std::int64_t stages) {
  std::set<std::int64_t> out;
  for (const std::string& word : split(text, ',')) {
    std::int64_t stage = -1;
    if (!read(word, stage) || stage < 0 || stage >= stages || !out.insert(stage).second) {
      refuse(text, stages);
    }
  }
  if (out.count(0) == 0) refuse(text, stages);
  return out;
}

}  // namespace

KeptStages parse_kept_stages(const std::string& text, std::int64_t stages, std::int64_t layers) {
  KeptStages out;
  out.stages = stages == 0 ? layers : stages;
  if (out.stages > layers) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--stages: got {}, want at most {}, the model's layers", stages, layers));
  }
  const auto cut = pipeline::stage_layers(layers, static_cast<int>(out.stages), {});
  const auto words = split(text, ':');
  std::vector<std::set<std::int64_t>> sets;
  std::uint64_t seed = 0;
  if (text.empty()) {
    sets.emplace_back();
    for (std::int64_t stage = 0; stage < out.stages; ++stage) sets[0].insert(stage);
  } else if (words.front() == "random") {
    std::int64_t count = 0;
    const bool good = (words.size() == 2 || words.size() == 3) && read(words[1], count) &&
                      count >= 1 && count <= out.stages &&
                      (words.size() == 2 || read(words[2], seed));
    if (!good) refuse(text, out.stages);
    if (out.stages > kMostStages) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--keep-stages: got {} of {} stages, want at most {} stages to draw "
                              "from; try --stages 8",
                              text, out.stages, kMostStages));
    }
    sets = all_sets(out.stages, count);
  } else {
    sets.push_back(named(text, out.stages));
  }
  double sum = 0;
  for (const auto& set : sets) {
    out.choices.push_back(ranges_of(set, cut));
    for (const auto& range : out.choices.back())
      sum += static_cast<double>(range.second - range.first);
  }
  out.layers_mean = sum / static_cast<double>(sets.size());
  out.choose = [seed, count = sets.size()](std::int64_t window) {
    const double lot = core::uniform({.seed = seed, .purpose = core::Purpose::kSampling},
                                     static_cast<std::uint64_t>(window));
    return std::min(count - 1, static_cast<std::size_t>(lot * static_cast<double>(count)));
  };
  return out;
}

}  // namespace rw::launcher
