// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ckpt/checkpointer.h"
#include "recipe/recipe.h"

namespace rw::launcher {

/// "FILE:LINE:COL: key: message" with its line, for a key of this job's recipe.
using AtKey = std::function<std::string(const std::string& key, const std::string& message)>;

/// What a job that goes on from a checkpoint does otherwise than the run that wrote it, by the
/// recipe in its manifest. Values that change no state and no order of the data may change:
/// returns them as "key old -> new, …", "" when there are none. Error{kRecipe} names each key of
/// which the value must stay, with both values, at its place.
std::string resume_changes(const std::string& step_folder, const ckpt::proto::Manifest& manifest,
                           const recipe::Recipe& recipe, const ckpt::RunIdentity& identity,
                           const AtKey& at_key);

}  // namespace rw::launcher
