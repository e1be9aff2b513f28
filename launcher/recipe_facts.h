// Part of Ropewalk, MIT licence.
#pragma once
#include "recipe/recipe.h"

namespace rw::launcher {

/// What a recipe is checked against on this machine: its files, its corpora's tokenizers, the model
/// it starts from. The number of ranks is not among it.
recipe::Facts gather_facts();

}  // namespace rw::launcher
