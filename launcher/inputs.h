// Part of Ropewalk, MIT licence.
#pragma once
#include "data/corpus.h"
#include "recipe/recipe.h"

namespace rw::launcher {

/// Opens what a run will read beside data.sources, and no more of it than the headers: validation
/// corpora, the weights of model.from. Throws Error{kDataMissing} or Error{kDataMalformed} when one
/// cannot be read, or when validation corpora or model.from were made with another tokenizer than
/// the sources. Costs milliseconds.
void check_inputs(const recipe::Recipe& recipe, const data::Corpora& sources);

}  // namespace rw::launcher
