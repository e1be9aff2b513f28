// Part of Ropewalk, MIT licence.
#pragma once
#include <string>

#include "core/json.h"

namespace rw::pipeline {

/// A JSON file that the recipe key `key` names. Throws Error{kDataMissing} when it is empty or not
/// there, Error{kDataMalformed} when it is no JSON.
core::Json read_json(const char* key, const std::string& path);

}  // namespace rw::pipeline
