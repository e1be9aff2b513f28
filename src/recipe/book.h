// Part of Ropewalk, MIT licence.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "recipe/recipe.h"

namespace rw::recipe {

/// Where something stands: in a file, or on the command line.
struct Place {
  std::string file;
  int line = 1;
  int column = 1;
  std::string source;  // the line; of a long one what stands around the place
  int caret = 1;       // the column within `source`
};

/// A key that another trainer has under this name (recipe/aliases.h).
struct ForeignKey {
  Place place;
  std::string path, section, name;
  std::string value;  // as it is written, or of what is below: enabled, stage
};

/// A recipe while it is read: values so far, where each key stands, what is wrong.
class Book {
 public:
  Recipe recipe;
  std::optional<std::string> home;  // Facts::home

  /// A key was given at `place`; a later one (an override) takes its place.
  void given(const std::string& key, const Place& place) { places_[key] = place; }
  bool has(const std::string& key) const { return places_.contains(key); }
  /// Where a key stands, or else the section that it belongs to, or else the top of the file.
  const Place& place_of(const std::string& key) const;
  void set_top(const Place& top) { top_ = top; }

  void complain(const Place& place, const std::string& key, const std::string& message);
  void complain(const std::string& key, const std::string& message) {
    complain(place_of(key), key, message);
  }
  /// A key of another trainer, for explain_aliases; what the key `ours` is meant to be stays open.
  void foreign(ForeignKey key, const std::string& ours) {
    foreign_keys_.push_back(std::move(key));
    bad_.insert(ours);
  }
  const std::vector<ForeignKey>& foreign_keys() const { return foreign_keys_; }
  /// The text itself is broken: what it lacks, and what does not fit together, says nothing.
  void distrust() { bad_.insert("recipe"); }
  bool trusted() const { return good("recipe"); }
  /// No complaint names this key: a rule may use its value.
  bool good(const std::string& key) const { return !bad_.contains(key); }
  bool good(std::initializer_list<const char*> keys) const;
  /// In the order of the file, what the command line says last.
  std::vector<Complaint> complaints() const;

 private:
  Place top_;
  std::map<std::string, Place> places_;
  std::set<std::string> bad_;
  std::vector<ForeignKey> foreign_keys_;
  std::set<std::tuple<std::string, int, int, std::string, std::string>> said_;
  std::vector<Complaint> complaints_;
};

inline constexpr const char* kCommandLine = "command line";

}  // namespace rw::recipe
