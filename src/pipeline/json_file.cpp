// Part of Ropewalk, MIT licence.
#include "pipeline/json_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "core/json_reader.h"
#include "metrics/append_file.h"

namespace rw::pipeline {

using core::Error;

core::Json read_json(const char* key, const std::string& path, core::ErrorKind malformed) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    throw Error(core::ErrorKind::kDataMissing,
                fmt::format("{}: got {}, which is a folder; want a JSON file", key, path));
  }
  const std::string text = metrics::read_text(path);
  if (text.empty()) {
    throw core::Error(
        core::ErrorKind::kDataMissing,
        fmt::format("{}: got {}, which is empty or not there; want a JSON file", key, path));
  }
  return core::parse_json(text, {fmt::format("{}: {}", key, path), 1, malformed});
}

}  // namespace rw::pipeline
