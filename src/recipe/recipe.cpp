// Part of Ropewalk, MIT licence.
#include "recipe/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/printable.h"
#include "recipe/aliases.h"
#include "recipe/book.h"
#include "recipe/keys.h"
#include "recipe/reader.h"
#include "recipe/resolved.h"
#include "recipe/rules.h"

namespace rw::recipe {
namespace {

bool same_place(const Complaint& a, const Complaint& b) {
  return a.file == b.file && a.line == b.line && a.column == b.column && a.source == b.source;
}

std::vector<std::string> texts(const std::vector<Complaint>& complaints) {
  std::vector<std::string> out;
  for (auto at = complaints.begin(); at != complaints.end();) {
    const auto end = std::find_if_not(
        at, complaints.end(), [&](const Complaint& other) { return same_place(*at, other); });
    if (out.size() == kMostTexts) {
      out.push_back(fmt::format("and {} more", complaints.end() - at));
      break;
    }
    out.push_back(text_of({at, end}));
    at = end;
  }
  return out;
}

}  // namespace

Loaded load_text(const std::string& yaml, const std::string& name,
                 const std::vector<std::string>& overrides, const Facts& facts) {
  Book book;
  book.home = facts.home;
  read_yaml(yaml, name, book);
  for (const auto& text : overrides) read_override(text, book);
  if (book.trusted()) {
    if (book.recipe.run_name.empty()) {
      book.recipe.run_name = core::printable(std::filesystem::path(name).stem().string());
    }
    apply_rules(facts, book);
  }
  explain_aliases(facts, book);
  Loaded out;
  out.recipe = book.recipe;
  out.details = book.complaints();
  out.complaints = texts(out.details);
  out.resolved_text = resolved_text(book.recipe);
  out.complaint_at = [book](const std::string& key, const std::string& message) {
    const Place& place = book.place_of(key);
    return Complaint{place.file, place.line, place.column, key, message, place.source}.text();
  };
  return out;
}

Loaded load(const std::string& path, const std::vector<std::string>& overrides,
            const Facts& facts) {
  const auto refuse = [&](const std::string& got) {
    throw core::Error(core::ErrorKind::kUsage,
                      fmt::format("{}: cannot read this recipe: {}; want a YAML file such as "
                                  "recipes/first_run.yaml",
                                  path, got));
  };
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) refuse("it is a folder");
  if (!std::filesystem::exists(path, code)) refuse("no such file");
  std::string text;
  try {
    text = facts.read_file(path);
  } catch (const core::Error& error) {
    const std::string what = error.what();
    refuse(what.substr(what.rfind(path + ": ", 0) == 0 ? path.size() + 2 : 0));
  }
  if (text.empty()) refuse("it is empty");
  return load_text(text, path, overrides, facts);
}

}  // namespace rw::recipe
