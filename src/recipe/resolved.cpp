// Part of Ropewalk, MIT licence.
#include "recipe/resolved.h"

#include <fmt/format.h>

#include <sstream>

#include "recipe/scalar.h"

namespace rw::recipe {
namespace {

std::string text_of(bool value, const Key& /*key*/) { return value ? "true" : "false"; }
std::string text_of(double value, const Key& /*key*/) { return real_text(value); }
std::string text_of(std::uint64_t value, const Key& /*key*/) { return std::to_string(value); }

/// 0 is the sign of "not given" where it is no value of the key.
std::string text_of(std::int64_t value, const Key& key) {
  return value == 0 && key.least > 0 ? "" : std::to_string(value);
}
std::string text_of(const std::string& value, const Key& /*key*/) {
  return value.empty() ? "" : quote_text(value);
}
std::string text_of(const std::optional<std::int64_t>& value, const Key& /*key*/) {
  return value ? std::to_string(*value) : "";
}
std::string text_of(const std::vector<std::int64_t>& value, const Key& /*key*/) {
  return value.empty() ? "" : fmt::format("[{}]", fmt::join(value, ", "));
}
std::string text_of(const std::vector<double*>& value, const Key& /*key*/) {
  std::string out;
  for (const double* one : value) out += (out.empty() ? "[" : ", ") + real_text(*one);
  return out + "]";
}
std::string text_of(const std::vector<data::Source>& value, const Key& /*key*/) {
  std::string out;
  for (const auto& source : value) {
    out += fmt::format("\n    - {{path: {}, weight: {}}}", quote_text(source.path),
                       real_text(source.weight));
  }
  return out;
}

}  // namespace

std::string value_text(const Key& key, Recipe& recipe) {
  return std::visit([&](const auto& slot) { return text_of(slot(recipe), key); }, key.slot);
}

std::string resolved_text(Recipe recipe) {
  std::string out;
  for (const Section& section : sections()) {
    std::string body;
    const bool nested = section.name.find('.') != std::string::npos;
    const std::string indent = section.name.empty() ? "" : nested ? "    " : "  ";
    for (const Key& key : keys()) {
      if (key.section != section.name) continue;
      const std::string value = value_text(key, recipe);
      if (value.empty()) continue;
      body += fmt::format("{}{}:{}{}\n", indent, key.name, value[0] == '\n' ? "" : " ", value);
    }
    if (body.empty()) continue;
    if (!section.name.empty()) {
      const auto dot = section.name.rfind('.');
      out += fmt::format("{}{}:\n", nested ? "  " : "", section.name.substr(dot + 1));
    }
    out += body;
  }
  return out;
}

std::vector<KeyValue> shared_values(const Recipe& recipe) {
  Recipe copy = recipe;  // slots give members to write to
  std::vector<KeyValue> out;
  for (const Key& key : keys()) {
    if (key.per_rank) continue;
    std::istringstream words(value_text(key, copy));
    std::string line;
    for (std::string word; words >> word;) line += (line.empty() ? "" : " ") + word;
    if (!line.empty()) out.push_back({key.path(), line});
  }
  return out;
}

}  // namespace rw::recipe
