// Part of Ropewalk, MIT licence.
#include "recipe/book.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/printable.h"

namespace rw::recipe {

using core::printable_line;

constexpr std::size_t kMostMessageBytes = 4000;

std::string Complaint::text() const { return text_of({*this}); }

std::string text_of(const std::vector<Complaint>& same_place) {
  const Complaint& first = same_place.front();
  std::string out;
  for (const Complaint& one : same_place) {
    out += &one == &first
               ? fmt::format("{}:{}:{}: ", printable_line(one.file), one.line, one.column)
               : "  and ";
    out += fmt::format("{}: {}\n", printable_line(one.key), printable_line(one.message));
  }
  std::size_t before = 0;
  for (int column = 1; column < first.caret && before < first.source.size(); ++column) {
    before += std::max<std::size_t>(1, core::utf8_bytes(first.source, before));
  }
  std::string caret;  // below what is shown
  const std::string shown = core::printable(first.source.substr(0, before));
  for (std::size_t at = 0; at < shown.size(); at += core::utf8_bytes(shown, at)) {
    caret.push_back(shown[at] == '\t' ? '\t' : ' ');
  }
  return out + fmt::format("  {}\n  {}^", core::printable(first.source), caret);
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
  const std::string which = place.file == kCommandLine ? place.source : "";
  if (!said_.emplace(place.file, place.line, place.column, key, which).second) return;
  complaints_.push_back({place.file, place.line, place.column, core::shortened(key),
                         core::shortened(message, kMostMessageBytes), place.source, place.caret});
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
