// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>

#include "data/corpus.h"
#include "recipe/recipe.h"

namespace rw::launcher {

/// Random tokens of the recipe's whole vocabulary in place of its corpora, for measurements: a real
/// corpus file in the system's folder for such, which is gone from its folder before this returns.
/// A function of the recipe's seed: the same on every rank. Throws Error{kStorage}.
std::shared_ptr<const data::Corpora> make_random_corpus(const recipe::Recipe& recipe);

}  // namespace rw::launcher
