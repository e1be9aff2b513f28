// Part of Ropewalk, MIT licence.
#include "core/typed_path.h"

#include <fmt/format.h>

namespace rw::core {
namespace {

bool begins_name(const std::string& text, std::size_t at) {
  if (at >= text.size()) return false;
  const char c = text[at];
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

}  // namespace

TypedPath typed_path(const std::string& text, const std::string& home) {
  const auto refuse = [&](const std::string& want) {
    return TypedPath{text, fmt::format("got '{}', want {}", text, want)};
  };
  if (text.find("${") != std::string::npos || (text[0] == '$' && begins_name(text, 1))) {
    return refuse(
        "a path without variables, which no shell replaces here; try ~/… for the home folder, or "
        "the path as it is");
  }
  if (text.empty() || text[0] != '~') return {text, ""};
  if (text.size() > 1 && text[1] != '/') {
    if (text.find('/') == std::string::npos) return {text, ""};  // a file such as ~draft.yaml
    return refuse("~/… for your own home folder, or another one's whole path");
  }
  if (home.empty()) return refuse("the whole path: no home folder is known (HOME is not set)");
  std::string base = home;
  while (base.size() > 1 && base.back() == '/') base.pop_back();
  const auto rest = text.find_first_not_of('/', 1);
  if (rest == std::string::npos) return {base, ""};
  return {(base == "/" ? base : base + "/") + text.substr(rest), ""};
}

}  // namespace rw::core
