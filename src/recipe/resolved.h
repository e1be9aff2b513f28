// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "recipe/keys.h"

namespace rw::recipe {

/// A recipe as YAML with every key that has a value; reads back to the same recipe.
std::string resolved_text(Recipe recipe);
/// The value of one key in YAML (flow style); "" when it has none.
std::string value_text(const Key& key, Recipe& recipe);

}  // namespace rw::recipe
