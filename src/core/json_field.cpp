// Part of Ropewalk, MIT licence.
#include "core/json_field.h"

#include <fmt/format.h>

#include <utility>

#include "core/utf8.h"

namespace rw::core {

std::string shown_json(const Json& json) {
  constexpr std::size_t kShownBytes = 60;
  constexpr std::size_t kShownEntries = 16;
  if (json.size() > kShownEntries && json.is_array()) {
    return fmt::format("a list of {} entries", json.size());
  }
  if (json.size() > kShownEntries && json.is_object()) {
    return fmt::format("an object of {} keys", json.size());
  }
  if (json.is_string() && json.get_ref<const std::string&>().size() > 4 * kShownBytes) {
    return shown_json(
        std::string(utf8_prefix(json.get_ref<const std::string&>(), 2 * kShownBytes)));
  }
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string_view shown = utf8_prefix(text, kShownBytes);
  return shown.size() == text.size() ? text : std::string(shown) + "…";
}

void JsonField::fail(const std::string& got, const std::string& want) const {
  throw Error(malformed_, fmt::format("{}: got {}, want {}", where_, got, want));
}

JsonField JsonField::child(const Json& json, const std::string& step) const {
  JsonField out(json, where_, malformed_);
  out.is_root_ = false;
  out.where_ += is_root_ ? ": " + step : step.front() == '[' ? step : "." + step;
  return out;
}

JsonField JsonField::at(const char* key) const {
  if (!json_->is_object()) refuse(fmt::format("an object with `{}`", key));
  const auto found = json_->find(key);
  if (found == json_->end()) fail(fmt::format("no `{}`", key), "this key");
  return child(*found, key);
}

std::optional<JsonField> JsonField::find(const char* key) const {
  if (!json_->is_object()) refuse("an object");
  const auto found = json_->find(key);
  if (found == json_->end() || found->is_null()) return std::nullopt;
  return child(*found, key);
}

std::vector<JsonField> JsonField::list(const std::string& of, std::size_t size) const {
  if (!json_->is_array()) refuse("a list of " + of);
  if (size != kAny && json_->size() != size) {
    fail(fmt::format("{} entries", json_->size()), fmt::format("{} {}", size, of));
  }
  std::vector<JsonField> out;
  out.reserve(json_->size());
  for (const Json& one : *json_) out.push_back(child(one, fmt::format("[{}]", out.size())));
  return out;
}

std::vector<JsonField> JsonField::one_or_list() const {
  return json_->is_array() ? list("values") : std::vector<JsonField>{*this};
}

double JsonField::number(double least, double most) const {
  const double value = json_->is_number() ? json_->get<double>() : least;
  if (!json_->is_number() || value < least || value > most) {
    const bool below = least > std::numeric_limits<double>::lowest();
    const bool above = most < std::numeric_limits<double>::max();
    refuse(std::string("a number") + (below ? fmt::format(" from {}", least) : "") +
           (above ? fmt::format(" up to {}", most) : ""));
  }
  return value;
}

std::int64_t JsonField::whole(std::int64_t least, std::int64_t most) const {
  const bool fits =
      json_->is_number_integer() &&
      (!json_->is_number_unsigned() || std::in_range<std::int64_t>(json_->get<std::uint64_t>()));
  const std::int64_t value = fits ? json_->get<std::int64_t>() : 0;
  if (!fits || value < least || value > most) {
    refuse(most == std::numeric_limits<std::int64_t>::max()
               ? fmt::format("a whole number from {}", least)
               : fmt::format("a whole number from {} to {}", least, most));
  }
  return value;
}

bool JsonField::flag() const {
  if (!json_->is_boolean()) refuse("true or false");
  return json_->get<bool>();
}

std::string JsonField::text() const {
  if (!json_->is_string()) refuse("a string");
  return json_->get<std::string>();
}

}  // namespace rw::core
