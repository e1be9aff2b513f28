// Part of Ropewalk, MIT licence.
#include "pipeline/json_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "metrics/append_file.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::Json;

/// Refuses a key that an object has twice: one of the values would be lost in silence.
class KeysOnce {
 public:
  KeysOnce(std::string where, core::ErrorKind kind) : where_(std::move(where)), kind_(kind) {}

  bool operator()(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) seen_.emplace_back();
    if (event == Json::parse_event_t::object_end) seen_.pop_back();
    if (event != Json::parse_event_t::key) return true;
    const auto key = parsed.get<std::string>();
    if (seen_.back().insert(key).second) return true;
    throw Error(kind_,
                fmt::format("{}: got the key `{}` twice in one object, want it once", where_, key));
  }

 private:
  std::string where_;
  core::ErrorKind kind_;
  std::vector<std::set<std::string>> seen_;  // per open object
};

}  // namespace

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
  try {
    KeysOnce once(fmt::format("{}: {}", key, path), malformed);
    return Json::parse(text, [&once](int /*depth*/, Json::parse_event_t event, const Json& parsed) {
      return once(event, parsed);
    });
  } catch (const core::Json::exception& error) {
    throw core::Error(malformed,
                      fmt::format("{}: got {}, which is not JSON: {}", key, path, error.what()));
  }
}

}  // namespace rw::pipeline
