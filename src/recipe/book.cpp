// Part of Ropewalk, MIT licence.
#include "recipe/book.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace rw::recipe {

std::string Complaint::text() const { return text_of({*this}); }

std::string text_of(const std::vector<Complaint>& same_place) {
  const Complaint& first = same_place.front();
  std::string out;
  for (const Complaint& one : same_place) {
    out += &one == &first ? fmt::format("{}:{}:{}: ", one.file, one.line, one.column) : "  and ";
    out += fmt::format("{}: {}\n", one.key, one.message);
  }
  std::string caret;
  int column = 1;
  for (const char c : first.source) {
    if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;  // inside a character
    if (column++ >= first.column) break;
    caret.push_back(c == '\t' ? '\t' : ' ');
  }
  return out + fmt::format("  {}\n  {}^", first.source, caret);
}

const Place& Book::place_of(const std::string& key) const {
  for (std::string at = key; !at.empty();) {
    const auto found = places_.find(at);
    if (found != places_.end()) return found->second;
    const auto dot = at.rfind('.');
    at = dot == std::string::npos ? "" : at.substr(0, dot);
  }
  return top_;
}

void Book::complain(const Place& place, const std::string& key, const std::string& message) {
  bad_.insert(key);
  const bool said = std::any_of(complaints_.begin(), complaints_.end(), [&](const Complaint& one) {
    return std::tie(one.file, one.line, one.column) ==
               std::tie(place.file, place.line, place.column) &&
           one.key == key && (place.file != kCommandLine || one.source == place.source);
  });
  if (said) return;
  complaints_.push_back({place.file, place.line, place.column, key, message, place.source});
}

bool Book::good(std::initializer_list<const char*> keys) const {
  return std::all_of(keys.begin(), keys.end(), [&](const char* key) { return good(key); });
}

std::vector<Complaint> Book::complaints() const {
  auto out = complaints_;
  std::stable_sort(out.begin(), out.end(), [](const Complaint& a, const Complaint& b) {
    const bool a_last = a.file == kCommandLine;
    const bool b_last = b.file == kCommandLine;
    return std::tie(a_last, a.line, a.column) < std::tie(b_last, b.line, b.column);
  });
  return out;
}

}  // namespace rw::recipe
