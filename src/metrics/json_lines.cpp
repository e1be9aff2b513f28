// Part of Ropewalk, MIT licence.
#include "metrics/json_lines.h"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "core/json_reader.h"
#include "metrics/append_file.h"

namespace rw::metrics {

std::vector<JsonLine> read_json_lines(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<JsonLine> out;
  std::int64_t number = 0;
  for (std::string_view left = text; !left.empty();) {
    const std::size_t end = left.find('\n');
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const core::JsonSource source{path, number};
    auto json = end == std::string_view::npos ? core::parse_json_unless_torn(line, source)
                                              : core::parse_json(line, source);
    if (json) out.push_back({std::move(*json), fmt::format("{}:{}", path, number)});
  }
  return out;
}

}  // namespace rw::metrics
