// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace rw::metrics {

struct JsonLine {
  core::Json json;
  std::string where;  // FILE:LINE, for messages
};

/// The values of a file of JSON lines. Empty lines are left out, and what a killed job left of its
/// last one. No values when there is no file. Throws Error{kDataMalformed} at another line that is no
/// JSON, Error{kStorage}.
std::vector<JsonLine> read_json_lines(const std::string& path);

}  // namespace rw::metrics
