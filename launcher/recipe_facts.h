// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>

#include "recipe/recipe.h"

namespace rw::launcher {

/// What a recipe is checked against on this machine: its files, its corpora's tokenizers, the model
/// it starts from. `ranks`: as the launcher's environment says; nullopt: there is no launcher.
recipe::Facts gather_facts(std::optional<int> ranks);

/// The part that needs no files: the rest of a job agrees on it without talking.
recipe::Facts pure_facts(std::optional<int> ranks);

}  // namespace rw::launcher
