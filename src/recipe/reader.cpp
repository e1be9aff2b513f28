// Part of Ropewalk, MIT licence.
#include "recipe/reader.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <numeric>

#include "recipe/keys.h"
#include "recipe/scalar.h"

namespace rw::recipe {
namespace {

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '\n') {
      out.emplace_back();
    } else if (c != '\r') {
      out.back().push_back(c);
    }
  }
  return out;
}

bool is_section(const std::string& path) {
  const auto& all = sections();
  return !path.empty() &&
         std::any_of(all.begin(), all.end(), [&](const Section& one) { return one.name == path; });
}

const Key* find_key(const std::string& path) {
  const auto& all = keys();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Key& key) { return key.path() == path; });
  return found == all.end() ? nullptr : &*found;
}

std::string join(const std::string& section, const std::string& name) {
  return section.empty() ? name : section + "." + name;
}

/// What may stand in a section.
std::vector<std::string> names_in(const std::string& section) {
  std::vector<std::string> out;
  for (const Key& key : keys()) {
    if (key.section == section) out.push_back(key.name);
  }
  for (const Section& one : sections()) {
    const auto dot = one.name.rfind('.');
    const std::string parent = dot == std::string::npos ? "" : one.name.substr(0, dot);
    if (!one.name.empty() && parent == section) out.push_back(one.name.substr(dot + 1));
  }
  return out;
}

std::string unknown_message(const std::string& section, const std::string& name) {
  const std::string where = section.empty() ? "" : fmt::format(" in '{}'", section);
  const auto& later = later_keys();
  if (std::find(later.begin(), later.end(), join(section, name)) != later.end()) {
    return fmt::format("'{}' is not in this version", join(section, name));
  }
  if (const auto ours = alias_of(name); !ours.empty()) {
    return fmt::format("unknown key '{}'{}: {} is called {} here", name, where, name, ours);
  }
  if (const auto near = nearest(name, names_in(section)); !near.empty()) {
    return fmt::format("unknown key '{}'{} (did you mean '{}'?)", name, where, near);
  }
  for (const Key& key : keys()) {
    if (key.name == name) {
      return fmt::format("unknown key '{}'{} (did you mean '{}'?)", name, where, key.path());
    }
  }
  return fmt::format("unknown key '{}'{}, want one of {}", name, where,
                     fmt::join(names_in(section), ", "));
}

/// Reads one document, a file or the right side of an override.
class Reader {
 public:
  Reader(const std::string& text, std::string name, Book& book)
      : lines_(split_lines(text)), name_(std::move(name)), book_(book) {}

  void section(const std::string& path, const YAML::Node& node);
  void key(const Key& key, const YAML::Node& node, const Place& place);
  Place place(const YAML::Mark& mark) const;
  /// Every place is this one: an override has one line and one column.
  void pin(const Place& place) { pinned_ = place; }

 private:
  Place value_place(const YAML::Node& value, const Place& key) const;
  void entry(const std::string& section, const YAML::Node& name_node, const YAML::Node& value);
  void sources(const Key& key, std::vector<data::Source>& out, const YAML::Node& node,
               const Place& place);
  void source(const std::string& path, data::Source& out, const YAML::Node& node,
              const Place& place);
  void fill(const Key& key, const RealsSlot& slot, const YAML::Node& node, const Place& at);
  void fill(const Key& key, const Slot<std::vector<std::int64_t>>& slot, const YAML::Node& node,
            const Place& at);
  void fill(const Key& key, const Slot<std::vector<data::Source>>& slot, const YAML::Node& node,
            const Place& at);
  template <class T>
  void fill(const Key& key, const Slot<T>& slot, const YAML::Node& node, const Place& at);
  std::vector<YAML::Node> list(const Key& key, const YAML::Node& node, const Place& place);
  template <class T, class Parsed>
  void set(T& out, const Parsed& parsed, const std::string& path, const Place& place) {
    if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
      book_.complain(place, path, refusal->message);
    } else {
      out = std::get<0>(parsed);
    }
  }

  std::vector<std::string> lines_;
  std::string name_;
  Book& book_;
  std::optional<Place> pinned_;
};

Scalar scalar_of(const YAML::Node& node) {
  if (node.IsNull()) return {};
  return {node.Scalar(), node.Tag() == "!"};
}

Place Reader::place(const YAML::Mark& mark) const {
  if (pinned_) return *pinned_;
  Place out{name_, std::max(0, mark.line) + 1, std::max(0, mark.column) + 1, ""};
  const auto line = static_cast<std::size_t>(out.line - 1);
  if (line < lines_.size()) out.source = lines_[line];
  return out;
}

/// A value's own place when it stands on the line of its key.
Place Reader::value_place(const YAML::Node& value, const Place& key) const {
  if (value.IsNull() || pinned_) return key;
  const Place out = place(value.Mark());
  return out.line == key.line && out.column > key.column ? out : key;
}

void Reader::section(const std::string& path, const YAML::Node& node) {
  std::map<std::string, Place> seen;
  for (const auto& pair : node) {
    const Place at = place(pair.first.Mark());
    if (!pair.first.IsScalar()) {
      book_.complain(at, path.empty() ? "recipe" : path, "got a key that is no word, want a name");
      continue;
    }
    const std::string name = pair.first.Scalar();
    if (const auto [first, fresh] = seen.emplace(name, at); !fresh) {
      book_.complain(at, join(path, name),
                     fmt::format("got this key a second time, want it once; it stands in line {} "
                                 "already",
                                 first->second.line));
      continue;
    }
    entry(path, pair.first, pair.second);
  }
}

void Reader::entry(const std::string& in, const YAML::Node& name_node, const YAML::Node& value) {
  const std::string& name = name_node.Scalar();
  const Place at = place(name_node.Mark());
  const std::string path = join(in, name);
  if (is_section(path)) {
    book_.given(path, at);
    if (value.IsMap()) {
      section(path, value);
    } else {
      book_.complain(value_place(value, at), path,
                     fmt::format("got {}, want keys below it, such as {}",
                                 value.IsScalar() ? "'" + value.Scalar() + "'" : "no mapping",
                                 names_in(path).front()));
    }
    return;
  }
  const Key* known = find_key(path);
  if (known == nullptr) {
    book_.complain(at, path, unknown_message(in, name));
    return;
  }
  key(*known, value, at);
}

std::vector<YAML::Node> Reader::list(const Key& key, const YAML::Node& node, const Place& place) {
  std::vector<YAML::Node> out;
  if (!node.IsSequence()) {
    book_.complain(
        place, key.path(),
        fmt::format("got {}, want a list of {}",
                    node.IsScalar() ? "'" + node.Scalar() + "'" : "something else", wanted(key)));
    return out;
  }
  for (const auto& item : node) {
    if (item.IsScalar()) {
      out.push_back(item);
    } else {
      book_.complain(place, key.path(), "got a list or mapping inside the list, want numbers");
    }
  }
  return out;
}

void Reader::key(const Key& key, const YAML::Node& node, const Place& key_place) {
  const Place at = value_place(node, key_place);
  book_.given(key.path(), at);
  std::visit([&](const auto& slot) { fill(key, slot, node, at); }, key.slot);
}

void Reader::fill(const Key& key, const Slot<std::vector<data::Source>>& slot,
                  const YAML::Node& node, const Place& at) {
  sources(key, slot(book_.recipe), node, at);
}

void Reader::fill(const Key& key, const RealsSlot& slot, const YAML::Node& node, const Place& at) {
  const auto members = slot(book_.recipe);
  const auto items = list(key, node, at);
  if (!items.empty() && items.size() != members.size()) {
    book_.complain(at, key.path(),
                   fmt::format("got {} numbers, want {}", items.size(), members.size()));
    return;
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    set(*members[i], parse_real(scalar_of(items[i]), key), key.path(), at);
  }
}

void Reader::fill(const Key& key, const Slot<std::vector<std::int64_t>>& slot,
                  const YAML::Node& node, const Place& at) {
  auto& out = slot(book_.recipe);
  out.clear();
  for (const auto& item : list(key, node, at)) {
    set(out.emplace_back(), parse_int(scalar_of(item), key), key.path(), at);
  }
}

template <class T>
void Reader::fill(const Key& key, const Slot<T>& slot, const YAML::Node& node, const Place& at) {
  if (!node.IsScalar() && !node.IsNull()) {
    book_.complain(
        at, key.path(),
        fmt::format("got a {}, want {}", node.IsMap() ? "mapping" : "list", wanted(key)));
    return;
  }
  const Scalar scalar = scalar_of(node);
  T& out = slot(book_.recipe);
  if constexpr (std::is_same_v<T, bool>) {
    set(out, parse_bool(scalar), key.path(), at);
  } else if constexpr (std::is_same_v<T, double>) {
    set(out, parse_real(scalar, key), key.path(), at);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    set(out, parse_seed(scalar), key.path(), at);
  } else if constexpr (std::is_same_v<T, std::string>) {
    set(out, parse_text(scalar, key), key.path(), at);
  } else {
    set(out, parse_int(scalar, key), key.path(), at);
  }
}

void Reader::sources(const Key& key, std::vector<data::Source>& out, const YAML::Node& node,
                     const Place& at) {
  out.clear();
  if (!node.IsSequence()) {
    book_.complain(
        at, key.path(),
        fmt::format("got {}, want {}", node.IsScalar() ? "'" + node.Scalar() + "'" : "no list",
                    wanted(key)));
    return;
  }
  for (const auto& item : node) {
    const std::string path = fmt::format("{}[{}]", key.path(), out.size());
    const Place here = place(item.Mark());
    source(path, out.emplace_back(), item, here);
  }
}

void Reader::source(const std::string& path, data::Source& out, const YAML::Node& node,
                    const Place& at) {
  if (!node.IsMap()) {
    book_.complain(at, path,
                   fmt::format("got {}, want {{path: FILE, weight: 1}}",
                               node.IsScalar() ? "'" + node.Scalar() + "'" : "a list"));
    return;
  }
  book_.given(path, at);
  Key text;
  text.slot = Slot<std::string>();
  Key weight;
  weight.slot = Slot<double>();
  weight.above_range(0, 1e9);
  std::set<std::string> seen;
  for (const auto& pair : node) {
    const std::string name = pair.first.Scalar();
    const Place key_place = place(pair.first.Mark());
    const Place here = value_place(pair.second, key_place);
    const std::string full = fmt::format("{}.{}", path, name);
    book_.given(full, here);
    if (!seen.insert(name).second) {
      book_.complain(key_place, full, "got this key a second time, want it once");
    } else if ((name == "path" || name == "weight") && !pair.second.IsScalar()) {
      book_.complain(here, full, "got no plain value, want one");
    } else if (name == "path") {
      set(out.path, parse_text(scalar_of(pair.second), text), full, here);
    } else if (name == "weight") {
      set(out.weight, parse_real(scalar_of(pair.second), weight), full, here);
    } else {
      const auto near = nearest(name, {"path", "weight"});
      book_.complain(key_place, full,
                     fmt::format("unknown key '{}'{}", name,
                                 near.empty() ? ", want path or weight"
                                              : fmt::format(" (did you mean '{}'?)", near)));
    }
  }
  if (!seen.contains("path")) book_.complain(at, path + ".path", "got nothing, want a corpus file");
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1)});
      corner = above;
    }
  }
  return row.back();
}

std::string yaml_message(const YAML::Exception& error) {
  return fmt::format(
      "got YAML that cannot be read: {}; want mappings of `key: value`, indented with "
      "spaces",
      error.msg);
}

}  // namespace

std::string nearest(const std::string& wrong, const std::vector<std::string>& names) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, wrong.size() / 3) + 1;
  for (const auto& name : names) {
    const std::size_t distance = edit_distance(wrong, name);
    if (distance < least && distance < name.size()) {
      least = distance;
      best = name;
    }
  }
  return best;
}

void read_yaml(const std::string& yaml, const std::string& name, Book& book) {
  Reader reader(yaml, name, book);
  book.set_top(reader.place({}));
  try {
    const auto documents = YAML::LoadAll(yaml);
    if (documents.empty() || !documents.front().IsMap()) {
      book.complain(reader.place({}), "recipe",
                    "got no mapping, want sections and keys; try one of "
                    "recipes/*.yaml as a start");
      return;
    }
    if (documents.size() > 1) {
      book.complain(reader.place(documents[1].Mark()), "recipe",
                    "got a second YAML document, want one");
    }
    reader.section("", documents.front());
  } catch (const YAML::Exception& error) {
    book.complain(reader.place(error.mark), "recipe", yaml_message(error));
  }
}

void read_override(const std::string& text, Book& book) {
  const Place place{kCommandLine, 1, 1, text};
  const auto cut = text.find('=');
  if (cut == std::string::npos || cut == 0) {
    book.complain(place, text, "got a word that is no override, want key.sub=value");
    return;
  }
  const std::string path = text.substr(0, cut);
  const std::string value = text.substr(cut + 1);
  Place at = place;
  at.column = static_cast<int>(cut) + 2;
  const Key* key = find_key(path);
  if (key == nullptr && is_section(path)) {
    book.complain(place, path,
                  fmt::format("got a section, want one of its keys, such as {}.{}={}", path,
                              names_in(path).front(), value));
    return;
  }
  if (key == nullptr) {
    const auto dot = path.rfind('.');
    const std::string section = dot == std::string::npos ? "" : path.substr(0, dot);
    const std::string name = path.substr(dot + 1);
    const bool known = section.empty() || is_section(section);
    book.complain(place, path,
                  known ? unknown_message(section, name) : unknown_message("", section));
    return;
  }
  Reader reader(text, kCommandLine, book);
  reader.pin(at);
  try {
    reader.key(*key, YAML::Load(value), at);
  } catch (const YAML::Exception& error) {
    book.complain(at, path, yaml_message(error));
  }
}

}  // namespace rw::recipe
