// Part of Ropewalk, MIT licence.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "core/nearest.h"
#include "planner/list.h"
#include "planner/problem.h"

namespace rw::planner {

/// One value of the file, with its path for messages.
class Field {
 public:
  Field(const core::Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  [[noreturn]] void fail(const std::string& got, const std::string& want) const {
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("{}: got {}, want {}", where_, got, want));
  }
  std::string shown() const {
    std::string text = json_.dump(-1, ' ', false, core::Json::error_handler_t::replace);
    constexpr std::size_t kShown = 60;
    if (text.size() > kShown) text = text.substr(0, kShown) + "…";
    return text;
  }
  bool has(const char* key) const { return json_.is_object() && json_.contains(key); }
  Field at(const char* key) const {
    if (!json_.is_object()) fail(shown(), "an object");
    const auto found = json_.find(key);
    if (found == json_.end()) {
      throw core::Error(core::ErrorKind::kRecipe,
                        fmt::format("{}: has no `{}`; it must be given", where_, key));
    }
    return {*found, fmt::format("{}.{}", where_, key)};
  }
  bool is_list() const { return json_.is_array(); }
  List<Field> list(std::int64_t size, const std::string& of) const {
    if (!json_.is_array()) fail(shown(), fmt::format("a list of {}", of));
    if (size != kAny && static_cast<std::int64_t>(json_.size()) != size) {
      fail(fmt::format("{} entries", json_.size()),
           fmt::format("{}: one for each of {}", size, of));
    }
    List<Field> out;
    for (std::size_t i = 0; i < json_.size(); ++i) {
      out.emplace_back(json_[i], fmt::format("{}[{}]", where_, i));
    }
    return out;
  }
  /// At least `least` (above it: open) and at most `most`, so that no sum of them overflows.
  double number(double least, bool open = false, double most = kMost) const {
    if (!json_.is_number()) fail(shown(), "a number");
    const auto value = json_.get<double>();
    if (!(value <= most) || value < least || (open && value == least)) {
      const bool any = most == std::numeric_limits<double>::max();
      fail(shown(), fmt::format("a finite number {} {}{}", open ? ">" : ">=", least,
                                any ? std::string() : fmt::format(", at most {:g}", most)));
    }
    return value;
  }
  int whole(int least, int most) const {
    if (!json_.is_number()) fail(shown(), "a whole number");
    const auto value = json_.get<double>();
    if (value != std::floor(value) || value < least || value > most) {
      fail(shown(), fmt::format("a whole number from {} to {}", least, most));
    }
    return static_cast<int>(value);
  }
  std::string text() const {
    if (!json_.is_string()) fail(shown(), "text");
    return json_.get<std::string>();
  }
  template <class T>
  T one_of(const List<std::pair<const char*, T>>& choices) const {
    std::string names;
    for (const auto& [name, value] : choices) {
      if (json_ == name) return value;
      names += (names.empty() ? "" : " | ") + std::string(name);
    }
    fail(shown(), names);
  }
  Matrix matrix(int n, double least, bool open, double most = kMost) const {
    Matrix out(n);
    const auto rows = list(n, "the nodes");
    for (int i = 0; i < n; ++i) {
      const auto row = rows[i].list(n, "the nodes");
      for (int j = 0; j < n; ++j) {
        out.at(i, j) = i == j ? row[j].number(0) : row[j].number(least, open, most);
      }
    }
    return out;
  }
  /// Refuses keys that nobody reads: a typing mistake would change the problem in silence. `what`:
  /// the kind of file, for the message.
  void only(const std::set<std::string>& known, const char* what = "a problem") const {
    if (!json_.is_object()) fail(shown(), "an object");
    for (const auto& [key, value] : json_.items()) {
      if (known.contains(key)) continue;
      const std::string near = core::nearest(key, {known.begin(), known.end()});
      throw core::Error(core::ErrorKind::kRecipe,
                        fmt::format("{}: `{}` is no key of {}{}; want one of {}", where_, key, what,
                                    near.empty() ? "" : " (did you mean `" + near + "`?)",
                                    fmt::join(known, ", ")));
    }
  }
  static constexpr std::int64_t kAny = -1;
  static constexpr double kMost = 1e15;

 private:
  const core::Json& json_;
  std::string where_;
};

}  // namespace rw::planner
