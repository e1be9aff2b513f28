// Part of Ropewalk, MIT licence.
#include "metrics/json_lines.h"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "core/json_reader.h"
#include "metrics/append_file.h"

namespace rw::metrics {

void read_json_lines(const std::string& path, const std::function<void(const JsonLine&)>& take) {
  read_lines(path, [&](std::int64_t number, std::string_view line, LineEnd end) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const core::JsonSource source{path, number};
    auto json = end == LineEnd::kTorn ? core::parse_json_unless_torn(line, source)
                                      : core::parse_json(line, source);
    if (json) take({std::move(*json), fmt::format("{}:{}", path, number)});
  });
}

}  // namespace rw::metrics
