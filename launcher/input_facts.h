// Part of Ropewalk, MIT licence.
#pragma once
#include <vector>

#include "data/corpus.h"
#include "launcher/agreement.h"

namespace rw::launcher {

/// What the files of a recipe hold, for require_same: its corpora by their digests, the plan's files,
/// and samples of the weights that it starts from. Costs milliseconds. Throws what opening them
/// throws.
std::vector<Fact> input_facts(const recipe::Recipe& recipe, const data::Corpora& sources);

}  // namespace rw::launcher
