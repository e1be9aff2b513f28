// Part of Ropewalk, MIT licence.
#pragma once
#include <functional>
#include <string>

#include "core/json.h"

namespace rw::metrics {

struct JsonLine {
  core::Json json;
  std::string where;  // FILE:LINE, for messages
};

/// Hands over the values of a file of JSON lines one by one, so that a long one needs no memory.
/// Empty lines are left out, and what a killed job left of its last one. No values when there is no
/// file. Throws Error{kDataMalformed} at another line that is no JSON, or longer than any record of a
/// run, Error{kStorage}, and what `take` does.
void read_json_lines(const std::string& path, const std::function<void(const JsonLine&)>& take);

}  // namespace rw::metrics
