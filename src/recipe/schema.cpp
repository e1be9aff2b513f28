// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/json.h"
#include "recipe/keys.h"
#include "recipe/resolved.h"
#include "recipe/scalar.h"

namespace rw::recipe {
namespace {

using core::Json;

Json source_schema() {
  Json out;
  out["type"] = "object";
  out["additionalProperties"] = false;
  out["required"] = Json::array({"path"});
  out["properties"]["path"] = {{"type", "string"}, {"minLength", 1}};
  out["properties"]["weight"] = {{"type", "number"}, {"exclusiveMinimum", 0}};
  return out;
}

void add_range(const Key& key, Json& out) {
  if (std::isfinite(key.least)) out[key.above ? "exclusiveMinimum" : "minimum"] = key.least;
  if (std::isfinite(key.most)) out["maximum"] = key.most;
}

Json number_schema(const Key& key, const char* type) {
  Json number;
  number["type"] = type;
  add_range(key, number);
  if (key.unit == Unit::kNone) return number;
  Json with_unit;
  with_unit["type"] = "string";
  with_unit["pattern"] = key.unit == Unit::kSeconds ? "^[0-9.]+ ?(s|sec|m|min|h|d)$"
                         : key.unit == Unit::kSteps ? "^[0-9.]+ ?[kKMBGT]?( ?steps?)?$"
                                                    : "^[0-9.]+ ?[kKMBGT]?( ?tokens?)?$";
  Json out;
  out["anyOf"] = {number, with_unit};
  return out;
}

struct ToSchema {
  const Key& key;
  Json operator()(const Slot<bool>& /*slot*/) const { return {{"type", "boolean"}}; }
  Json operator()(const Slot<std::int64_t>& /*slot*/) const {
    return number_schema(key, "integer");
  }
  Json operator()(const Slot<std::uint64_t>& /*slot*/) const {
    return {{"type", "integer"}, {"minimum", 0}};
  }
  Json operator()(const Slot<double>& /*slot*/) const { return number_schema(key, "number"); }
  Json operator()(const Slot<std::string>& /*slot*/) const {
    if (key.choices.empty()) return {{"type", "string"}, {"minLength", 1}};
    return {{"enum", key.choices}};
  }
  Json operator()(const Slot<std::vector<std::int64_t>>& /*slot*/) const {
    return {{"type", "array"}, {"items", number_schema(key, "integer")}};
  }
  Json operator()(const Slot<std::optional<std::int64_t>>& /*slot*/) const {
    return number_schema(key, "integer");
  }
  Json operator()(const Slot<std::vector<data::Source>>& /*slot*/) const {
    return {{"type", "array"}, {"items", source_schema()}};
  }
  Json operator()(const RealsSlot& slot) const {
    Recipe recipe;
    const auto count = slot(recipe).size();
    return {{"type", "array"},
            {"items", number_schema(key, "number")},
            {"minItems", count},
            {"maxItems", count}};
  }
};

Json empty_object(const std::string& help) {
  Json out;
  out["type"] = "object";
  out["description"] = help;
  out["additionalProperties"] = false;
  out["properties"] = Json::object();
  return out;
}

/// Where the schema of a section lies in the whole.
Json& section_schema(Json& root, const std::string& section) {
  Json* at = &root;
  std::string left = section;
  while (!left.empty()) {
    const auto dot = left.find('.');
    at = &(*at)["properties"][left.substr(0, dot)];
    left = dot == std::string::npos ? "" : left.substr(dot + 1);
  }
  return *at;
}

std::string type_text(const Key& key) {
  const bool list = std::holds_alternative<Slot<std::vector<std::int64_t>>>(key.slot);
  std::string out = (list ? "a list, each " : "") + wanted(key);
  std::replace(out.begin(), out.end(), '|', '/');
  return out;
}

std::string default_text(const Key& key) {
  const auto& required = required_keys();
  if (std::find(required.begin(), required.end(), key.path()) != required.end()) return "required";
  if (!key.absent.empty()) return key.absent;
  Recipe recipe;
  const std::string value = value_text(key, recipe);
  return value.empty() ? "" : "`" + value + "`";
}

}  // namespace

std::string json_schema() {
  Json root = empty_object("A Ropewalk recipe");
  Json out;
  out["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  out["title"] = "Ropewalk recipe";
  for (const Section& section : sections()) {
    if (!section.name.empty()) section_schema(root, section.name) = empty_object(section.help);
  }
  for (const Key& key : keys()) {
    Json one = std::visit(ToSchema{key}, key.slot);
    one["description"] = key.help + (key.absent.empty() ? "" : "; absent: " + key.absent);
    section_schema(root, key.section)["properties"][key.name] = one;
  }
  for (const std::string& path : required_keys()) {
    const auto dot = path.rfind('.');
    const std::string section = dot == std::string::npos ? "" : path.substr(0, dot);
    section_schema(root, section)["required"].push_back(path.substr(dot + 1));
  }
  for (const auto& [name, value] : root.items()) out[name] = value;
  return out.dump(2) + "\n";
}

std::string markdown() {
  std::string out =
      "# Recipe keys\n\nMade by `ropewalk schema --markdown`; do not edit. Counts may carry `k`, "
      "`M`, "
      "`B` and their word (`500steps`, `1Btokens`), times `s`, `min`, `h`, `d`.\n";
  for (const Section& section : sections()) {
    out +=
        fmt::format("\n## {}\n{}.\n\n| key | takes | default | what it is |\n|---|---|---|---|\n",
                    section.name.empty() ? "top level" : section.name, section.help);
    for (const Key& key : keys()) {
      if (key.section != section.name) continue;
      out += fmt::format("| `{}` | {} | {} | {} |\n", key.name, type_text(key), default_text(key),
                         key.help);
    }
  }
  return out;
}

}  // namespace rw::recipe
