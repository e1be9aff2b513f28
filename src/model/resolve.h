// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

#include "model/options.h"

namespace rw::model {

/// Fills the derived zeros of `options` (see options.h) and checks that the numbers make a model.
///
///   seq_len  train.seq_len, or 0 when nothing is trained: then max_position_embeddings may stay 0
///   throws   Error{kRecipe} "model.KEY: got X, want Y; try Z", at the key that a user would change
void resolve(Options& options, std::int64_t seq_len);

/// The value of a name in kRecomputeNames. Throws Error{kRecipe} on any other.
Recompute recompute_of(const std::string& name);

}  // namespace rw::model
