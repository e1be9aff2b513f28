// Part of Ropewalk, MIT licence.
#include "pipeline/json_file.h"

#include <fmt/format.h>

#include "metrics/append_file.h"

namespace rw::pipeline {

core::Json read_json(const char* key, const std::string& path, core::ErrorKind malformed) {
  const std::string text = metrics::read_text(path);
  if (text.empty()) {
    throw core::Error(
        core::ErrorKind::kDataMissing,
        fmt::format("{}: got {}, which is empty or not there; want a JSON file", key, path));
  }
  try {
    return core::Json::parse(text);
  } catch (const core::Json::exception& error) {
    throw core::Error(malformed,
                      fmt::format("{}: got {}, which is not JSON: {}", key, path, error.what()));
  }
}

}  // namespace rw::pipeline
