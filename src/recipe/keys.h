// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "recipe/recipe.h"

namespace rw::recipe {

/// Gives the member of a recipe that a key fills.
template <class T>
using Slot = std::function<T&(Recipe&)>;
/// The members that a list of so many numbers fills.
using RealsSlot = std::function<std::vector<double*>(Recipe&)>;
using AnySlot = std::variant<RealsSlot, Slot<bool>, Slot<std::int64_t>, Slot<std::uint64_t>,
                             Slot<double>, Slot<std::string>, Slot<std::vector<std::int64_t>>,
                             Slot<std::optional<std::int64_t>>, Slot<std::vector<data::Source>>>;

/// What a number counts; says which suffixes it may carry.
enum class Unit : std::uint8_t { kNone, kSteps, kTokens, kSeconds };

/// One key: everything that reading, `check`, the schema and docs/recipe.md know of it.
struct Key {
  std::string section;  // "" for plain values; "model.rope_parameters" one deeper
  std::string name;
  AnySlot slot;
  std::string help;
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool above = false;  // the value must be greater than `least`
  bool is_path = false;
  Unit unit = Unit::kNone;
  std::vector<std::string> choices;  // of a text
  std::vector<std::string> later;    // texts of versions to come
  bool per_rank = false;             // ranks of a job may differ in it
  std::string
      absent;  // what an absent value means, when it is not the default; "required" is said so
  Key& within_range(double from, double to);
  Key& above_range(double from, double to);  // from itself is refused
  Key& counting(Unit what);
  Key& naming_a_path();
  Key& one_of(std::vector<std::string> texts);
  Key& not_yet(std::vector<std::string> texts);
  Key& each_rank_its_own();
  Key& when_absent(std::string meaning);
  std::string path() const { return section.empty() ? name : section + "." + name; }
};

/// All keys, in the order of docs/recipe.md.
const std::vector<Key>& keys();

/// Sections in order, with a line of help each.
struct Section {
  std::string name;
  std::string help;
};
const std::vector<Section>& sections();
/// Sections and keys of versions to come: refused as `not in this version`.
const std::vector<std::string>& later_keys();
/// Keys that must be given.
const std::vector<std::string>& required_keys();
/// The key `path` names; nullptr: none.
const Key* find_key(const std::string& path);

}  // namespace rw::recipe
