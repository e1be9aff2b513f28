// Part of Ropewalk, MIT licence.
#pragma once
#include "recipe/book.h"

namespace rw::recipe {

/// Completes what follows from other keys (run_name, max_steps, the model's sizes) and complains
/// about keys that are missing or do not fit together, each at the key that a user would change. A
/// rule is held only when the keys it reads are good.
void apply_rules(const Facts& facts, Book& book);

}  // namespace rw::recipe
