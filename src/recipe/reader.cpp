// Part of Ropewalk, MIT licence.
#include "recipe/reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>

#include "core/nearest.h"
#include "core/printable.h"
#include "core/typed_path.h"
#include "recipe/aliases.h"
#include "recipe/keys.h"
#include "recipe/scalar.h"
#include "recipe/source_text.h"

namespace rw::recipe {
namespace {

bool is_section(const std::string& path) {
  const auto& all = sections();
  return !path.empty() &&
         std::any_of(all.begin(), all.end(), [&](const Section& one) { return one.name == path; });
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

std::string unknown_message(const std::string& section, const std::string& whole_name) {
  const std::string name = core::shortened(whole_name);
  const std::string where = section.empty() ? "" : fmt::format(" in '{}'", section);
  const auto& later = later_keys();
  if (std::find(later.begin(), later.end(), join(section, name)) != later.end()) {
    return fmt::format("'{}' is not in this version", join(section, name));
  }
  if (name == "<<") {
    return "got a YAML merge key, which recipes do not have; want the keys written out";
  }
  for (const Key& key : keys()) {
    if (key.name == name || key.name == plain_name(name)) {
      return fmt::format("unknown key '{}'{} (did you mean '{}'?)", name, where, key.path());
    }
  }
  if (const auto near = core::nearest(name, names_in(section)); !near.empty()) {
    return fmt::format("unknown key '{}'{} (did you mean '{}'?)", name, where, near);
  }
  return fmt::format("unknown key '{}'{}, want one of {}", name, where,
                     fmt::join(names_in(section), ", "));
}

/// Another trainer's key, unless `name` is one of ours to come.
const Alias* alias_of(const std::string& section, const std::string& name) {
  const auto& later = later_keys();
  const bool ours = std::find(later.begin(), later.end(), join(section, name)) != later.end();
  return ours ? nullptr : find_alias(name);
}

/// The value of a foreign key, or of what DeepSpeed has below it.
std::string foreign_value(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  if (!node.IsMap()) return "";
  for (const char* name : {"enabled", "stage"}) {
    if (const YAML::Node below = node[name]; below && below.IsScalar()) return below.Scalar();
  }
  return "?";
}

/// What stands where something else is wanted.
std::string kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  if (node.IsNull() || node.Scalar().empty()) return "nothing";
  return "'" + core::shortened(node.Scalar()) + "'";
}

/// Reads one document, a file or the right side of an override.
class Reader {
 public:
  Reader(const SourceText& text, Book& book) : text_(text), book_(book) {}

  void section(const std::string& path, const YAML::Node& node);
  void key(const Key& key, const YAML::Node& node, const Place& place);
  Place place(const YAML::Mark& mark) const { return text_.place(mark.line, mark.column); }

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
  /// A value of a list, and where it stands.
  struct Item {
    Scalar value;
    Place place;
  };
  std::vector<Item> list(const Key& key, const YAML::Node& node, const Place& at);
  std::optional<Scalar> scalar(const YAML::Node& node, const std::string& path, const Place& at);
  std::variant<std::string, Refusal> text(const Scalar& scalar, const Key& key) const;
  template <class T, class Parsed>
  void set(T& out, const Parsed& parsed, const std::string& path, const Place& place) {
    if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
      book_.complain(place, path, refusal->message);
    } else {
      out = std::get<0>(parsed);
    }
  }

  const SourceText& text_;
  Book& book_;
};

/// The value of a plain or quoted node; nullopt: it is none, and that is said.
std::optional<Scalar> Reader::scalar(const YAML::Node& node, const std::string& path,
                                     const Place& at) {
  if (node.IsNull()) return Scalar{};
  const std::string& tag = node.Tag();
  if (tag.size() > 1) {
    book_.complain(at, path, fmt::format("got the YAML tag '{}', want a value without one", tag));
    return std::nullopt;
  }
  const bool quoted = tag == "!";
  if (quoted && !text_.closes_quote(node.Mark().line, node.Mark().column)) {
    book_.complain(at, path, "got a quote that is not closed in its line, want it closed there");
    book_.distrust();
    return std::nullopt;
  }
  if (node.Scalar().find('\0') != std::string::npos) {
    book_.complain(at, path, "got text with a zero byte, want it without");
    return std::nullopt;
  }
  return Scalar{node.Scalar(), quoted};
}

std::variant<std::string, Refusal> Reader::text(const Scalar& scalar, const Key& key) const {
  auto out = parse_text(scalar, key);
  const auto* read = std::get_if<std::string>(&out);
  if (read == nullptr || !key.is_path || !book_.home) return out;
  const auto typed = core::typed_path(*read, *book_.home);
  if (!typed.problem.empty()) return Refusal{typed.problem};
  return typed.path;
}

/// A value's own place when it stands on the line of its key.
Place Reader::value_place(const YAML::Node& value, const Place& key) const {
  if (value.IsNull()) return key;
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
  const auto dot = name.rfind('.');
  if (dot != std::string::npos && (is_section(path) || find_key(path) != nullptr)) {
    book_.complain(at, path,
                   fmt::format("got a name with a dot, want '{}' indented below '{}:'; dots are "
                               "for the command line",
                               name.substr(dot + 1), name.substr(0, dot)));
    return;
  }
  if (is_section(path)) {
    book_.given(path, at);
    if (value.IsMap()) {
      section(path, value);
    } else {
      book_.complain(value_place(value, at), path,
                     fmt::format("got {}, want keys below it, such as {}", kind_of(value),
                                 names_in(path).front()));
    }
    return;
  }
  const Key* known = find_key(path);
  if (known != nullptr) {
    key(*known, value, at);
  } else if (const Alias* alias = alias_of(in, name)) {
    book_.foreign({at, path, in, name, foreign_value(value)}, alias->ours);
  } else {
    book_.complain(at, path, unknown_message(in, name));
  }
}

std::vector<Reader::Item> Reader::list(const Key& key, const YAML::Node& node, const Place& at) {
  std::vector<Item> out;
  if (!node.IsSequence()) {
    book_.complain(at, key.path(),
                   fmt::format("got {}, want a list of {}", kind_of(node), wanted(key)));
    return out;
  }
  for (const auto& item : node) {
    const Place here = place(item.Mark());
    if (!item.IsScalar()) {
      book_.complain(here, key.path(),
                     fmt::format("got {} inside the list, want {}", kind_of(item), wanted(key)));
    } else if (const auto value = scalar(item, key.path(), here)) {
      out.push_back({*value, here});
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
  if (node.IsSequence() && node.size() != members.size()) {
    book_.complain(
        at, key.path(),
        fmt::format("got {} numbers, want {} {}", node.size(), members.size(), wanted(key)));
    return;
  }
  if (items.size() != members.size()) return;
  for (std::size_t i = 0; i < items.size(); ++i) {
    set(*members[i], parse_real(items[i].value, key), key.path(), items[i].place);
  }
}

void Reader::fill(const Key& key, const Slot<std::vector<std::int64_t>>& slot,
                  const YAML::Node& node, const Place& at) {
  auto& out = slot(book_.recipe);
  out.clear();
  for (const auto& item : list(key, node, at)) {
    set(out.emplace_back(), parse_int(item.value, key), key.path(), item.place);
  }
}

template <class T>
void Reader::fill(const Key& key, const Slot<T>& slot, const YAML::Node& node, const Place& at) {
  if (!node.IsScalar() && !node.IsNull()) {
    book_.complain(at, key.path(), fmt::format("got {}, want {}", kind_of(node), wanted(key)));
    return;
  }
  const auto read = scalar(node, key.path(), at);
  if (!read) return;
  T& out = slot(book_.recipe);
  if constexpr (std::is_same_v<T, bool>) {
    set(out, parse_bool(*read), key.path(), at);
  } else if constexpr (std::is_same_v<T, double>) {
    set(out, parse_real(*read, key), key.path(), at);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    set(out, parse_seed(*read), key.path(), at);
  } else if constexpr (std::is_same_v<T, std::string>) {
    set(out, text(*read, key), key.path(), at);
  } else {
    set(out, parse_int(*read, key), key.path(), at);
  }
}

void Reader::sources(const Key& key, std::vector<data::Source>& out, const YAML::Node& node,
                     const Place& at) {
  out.clear();
  if (!node.IsSequence()) {
    book_.complain(at, key.path(), fmt::format("got {}, want {}", kind_of(node), wanted(key)));
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
    book_.complain(at, path, fmt::format("got {}, want {{path: FILE, weight: 1}}", kind_of(node)));
    return;
  }
  book_.given(path, at);
  Key corpus;
  corpus.slot = Slot<std::string>();
  corpus.naming_a_path();
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
    } else if (name == "path" || name == "weight") {
      const bool is_path = name == "path";
      if (!pair.second.IsScalar()) {
        book_.complain(here, full,
                       fmt::format("got {}, want {}", kind_of(pair.second),
                                   wanted(is_path ? corpus : weight)));
      } else if (const auto value = scalar(pair.second, full, here)) {
        if (is_path) set(out.path, this->text(*value, corpus), full, here);
        if (!is_path) set(out.weight, parse_real(*value, weight), full, here);
      }
    } else {
      const auto near = core::nearest(name, {"path", "weight"});
      book_.complain(key_place, full,
                     fmt::format("unknown key '{}'{}", core::shortened(name),
                                 near.empty() ? ", want path or weight"
                                              : fmt::format(" (did you mean '{}'?)", near)));
    }
  }
  if (!seen.contains("path")) book_.complain(at, path + ".path", "got nothing, want a corpus file");
}

std::string yaml_message(const YAML::Exception& error) {
  return fmt::format(
      "got YAML that cannot be read: {}; want mappings of `key: value`, indented with "
      "spaces",
      error.msg);
}

/// Notes where a document begins; takes nothing else.
class DocumentStart : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}
  const YAML::Mark& mark() const { return mark_; }

 private:
  YAML::Mark mark_;
};

/// Where a second document begins. (YAML::LoadAll never ends on ", a: b".)
std::optional<YAML::Mark> second_document(const std::string& yaml) {
  std::istringstream text(yaml);
  YAML::Parser parser(text);
  DocumentStart handler;
  if (!parser.HandleNextDocument(handler) || !parser.HandleNextDocument(handler)) {
    return std::nullopt;
  }
  return handler.mark();
}

}  // namespace

void read_yaml(const std::string& yaml, const std::string& name, Book& book) {
  const SourceText text(yaml, name);
  const Place top = text.place(0, 0);
  book.set_top(top);
  if (!text.is_text(book)) return;
  Reader reader(text, book);
  try {
    const YAML::Node document = YAML::Load(yaml);
    if (!document.IsMap()) {
      book.complain(top, "recipe",
                    "got no mapping, want sections and keys; try one of recipes/*.yaml as a start");
      return;
    }
    if (const auto more = second_document(yaml)) {
      book.complain(reader.place(*more), "recipe",
                    "got more behind the end of the YAML document, want one document");
    }
    reader.section("", document);
  } catch (const YAML::Exception& error) {
    book.complain(reader.place(error.mark), "recipe", yaml_message(error));
  }
}

namespace {

/// What to say of an override whose key is none.
std::string unknown_override(const std::string& path, const std::string& value) {
  if (is_section(path)) {
    return fmt::format("got a section, want one of its keys, such as {}.{}=…", path,
                       names_in(path).front());
  }
  const auto bracket = path.find('[');
  if (bracket != std::string::npos && find_key(path.substr(0, bracket)) != nullptr) {
    return fmt::format("got a part of a list, want the list as a whole; try {}=[…]",
                       path.substr(0, bracket));
  }
  const auto dot = path.rfind('.');
  const std::string section = dot == std::string::npos ? "" : path.substr(0, dot);
  if (section.empty() || is_section(section)) {
    return unknown_message(section, path.substr(dot + 1));
  }
  if (const Key* list = find_key(section)) {
    return fmt::format("got a part of '{}', want it as a whole; try {}={}", section, section,
                       std::holds_alternative<Slot<std::vector<data::Source>>>(list->slot)
                           ? "[{path: FILE}]"
                           : value);
  }
  return unknown_message("", section);
}

}  // namespace

void read_override(const std::string& text, Book& book) {
  const auto cut = text.find('=');
  const auto bytes = cut == std::string::npos ? 0 : cut + 1;
  const SourceText source(text, kCommandLine, bytes);
  const Place start = SourceText(text, kCommandLine).place(0, 0);
  if (!source.is_text(book)) return;
  if (cut == std::string::npos || cut == 0) {
    book.complain(start, text, "got a word that is no override, want key.sub=value");
    return;
  }
  const std::string path = text.substr(0, cut);
  const std::string value = text.substr(cut + 1);
  const Place at = source.place(0, 0);
  const Key* key = find_key(path);
  if (key == nullptr) {
    const auto dot = path.rfind('.');
    const std::string section = dot == std::string::npos ? "" : path.substr(0, dot);
    const std::string name = path.substr(dot + 1);
    const Alias* alias = is_section(path) || (!section.empty() && !is_section(section))
                             ? nullptr
                             : alias_of(section, name);
    if (alias != nullptr) {
      book.foreign({start, path, section, name, value}, alias->ours);
    } else {
      book.complain(start, path, unknown_override(path, value));
    }
    return;
  }
  Reader reader(source, book);
  try {
    reader.key(*key, YAML::Load(value), at);
  } catch (const YAML::Exception& error) {
    book.complain(reader.place(error.mark), path, yaml_message(error));
  }
}

}  // namespace rw::recipe
