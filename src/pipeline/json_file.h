// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "core/error.h"
#include "core/json.h"

namespace rw::pipeline {

/// A JSON file that `key`, of a recipe or of the command line, names. Throws Error{kDataMissing}
/// when it is empty, a folder or not there; Error{malformed} of core::parse_json: kRecipe for what a
/// command is asked to solve, the user's own text; kDataMalformed for what a run reads beside its
/// recipe.
core::Json read_json(const char* key, const std::string& path,
                     core::ErrorKind malformed = core::ErrorKind::kDataMalformed);

}  // namespace rw::pipeline
