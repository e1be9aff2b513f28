// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/evaluate.h"

namespace rw::launcher {

/// Which stages of a model a window of text goes through (papers/skippipe.md §7, inference test).
struct KeptStages {
  std::vector<model::LayerRanges> choices;
  std::function<std::size_t(std::int64_t window)> choose;
  /// "stages" cuts the layers, and the mean window goes through `layers` of them.
  std::int64_t stages = 0;
  double layers_mean = 0;
};

/// `text`: "" (all), "0,2,3", or "random:K[:SEED]": stage 0 and K − 1 others, each window by lot,
/// every choice of them equally likely. `stages`: the layers are cut into so many, even, earlier ones
/// taking the rest; 0: each layer is a stage. Throws Error{kUsage} "--keep-stages: got …, want …".
KeptStages parse_kept_stages(const std::string& text, std::int64_t stages, std::int64_t layers);

}  // namespace rw::launcher
