// Part of Ropewalk, MIT licence.
#include "recipe/aliases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "recipe/keys.h"
#include "recipe/resolved.h"
#include "recipe/scalar.h"

namespace rw::recipe {
namespace {

std::optional<double> number_of(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = !text.empty() && end == text.c_str() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

bool counts_steps(const char* ours) {
  const Key* key = find_key(ours);
  return key != nullptr && key->unit == Unit::kSteps;
}

/// A share of all steps, where a number of steps could stand too (save_steps, eval_steps).
std::string conversion_of(const Alias& alias, const std::string& value) {
  const auto number = number_of(value);
  const bool share = number && *number > 0 && *number < 1 && counts_steps(alias.ours);
  return share && *alias.conversion == 0 ? "VALUE * train.max_steps" : alias.conversion;
}

/// A key's number: as the recipe gives it, or what its foreign keys come to.
class Numbers {
 public:
  Numbers(const Facts& facts, Book& book) : facts_(facts), book_(book) {
    // Twice: a conversion may need what another one, further down, comes to.
    for (int round = 0; round < 2; ++round) {
      for (const ForeignKey& key : book.foreign_keys()) take(key);
    }
  }

  /// What a conversion comes to; nullopt: a factor is not known.
  std::optional<double> result(const Alias& alias, const std::string& value) const {
    double out = 1;
    bool divide = false;
    const std::string conversion = conversion_of(alias, value);
    std::string_view rest = conversion;
    if (rest.empty()) return number_of(value);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find_first_of("*/"), rest.size());
      const std::string_view factor = rest.substr(0, end - (end < rest.size() ? 1 : 0));
      const auto number = of(std::string(factor), value);
      if (!number || (divide && *number == 0)) return std::nullopt;
      out = divide ? out / *number : out * *number;
      divide = end < rest.size() && rest[end] == '/';
      rest.remove_prefix(std::min(rest.size(), end + 2));
    }
    const Key* key = find_key(alias.ours);
    const bool real = key != nullptr && std::holds_alternative<Slot<double>>(key->slot);
    return real ? out : std::ceil(out * (1 - 1e-12));
  }

 private:
  void take(const ForeignKey& key) {
    const Alias* alias = find_alias(key.name);
    if (*alias->ours == 0 || *alias->when_false != 0) return;
    if (const auto number = result(*alias, key.value)) taken_[alias->ours] = *number;
  }

  std::optional<double> of(const std::string& factor, const std::string& value) const {
    if (factor == "VALUE") return number_of(value);
    if (factor == "TOKENS") return tokens();
    if (const auto found = taken_.find(factor); found != taken_.end()) return found->second;
    const Key* key = find_key(factor);
    if (key == nullptr) return number_of(factor);
    const bool has_default = factor == "train.micro_batch_size" || factor == "parallel.dp" ||
                             factor == "parallel.pp" || factor == "optimizer.lr";
    if (factor == "train.max_steps" && !book_.has(factor)) return steps_of_tokens();
    if (!book_.good(factor) || (!book_.has(factor) && !has_default)) return std::nullopt;
    return number_of(value_text(*key, book_.recipe));
  }

  std::optional<double> steps_of_tokens() const {
    const auto all = of("train.max_tokens", ""), rows = of("train.global_batch_size", ""),
               row = of("train.seq_len", "");
    if (!all || !rows || !row || *rows * *row < 1) return std::nullopt;
    return std::ceil(*all / (*rows * *row));
  }

  std::optional<double> tokens() const {
    if (!facts_.corpus_tokens || book_.recipe.data.sources.empty()) return std::nullopt;
    double sum = 0;
    for (const auto& source : book_.recipe.data.sources) {
      const auto one = facts_.corpus_tokens(source.path);
      if (!one) return std::nullopt;
      sum += static_cast<double>(*one);
    }
    return sum;
  }

  const Facts& facts_;
  Book& book_;
  std::unordered_map<std::string, double> taken_;
};

void replace(std::string& text, std::string_view what, const std::string& with) {
  if (const auto at = text.find(what); at != text.npos) text.replace(at, what.size(), with);
}

std::string whole_text(double value) { return fmt::format("{:.10g}", value); }

/// "train.global_batch_size = train.micro_batch_size * parallel.dp * 8 (here 16 with dp 1)".
std::string conversion_text(const ForeignKey& key, const Alias& alias, const Book& book,
                            const Numbers& numbers) {
  std::string text = conversion_of(alias, key.value);
  const bool by_dp = text.find("parallel.dp") != text.npos;
  replace(text, "VALUE", number_of(key.value) ? key.value : key.name);
  replace(text, "TOKENS", "tokens of the corpora");
  text = fmt::format("{} = {}", alias.ours, text);
  const auto result = numbers.result(alias, key.value);
  if (!result) return text + alias.note;
  return fmt::format("{} (here {}{}){}", text, whole_text(*result),
                     by_dp ? fmt::format(" with dp {}", book.recipe.parallel.dp) : "", alias.note);
}

std::string switch_text(const Alias& alias, const std::string& value) {
  const auto number = number_of(value);
  const bool off = value == "false" || value == "no" || value == "null" || value.empty() ||
                   (number && *number == 0);
  const bool on = value == "true" || value == "yes" || (number && *number != 0);
  if (off) return alias.when_false;
  return on ? alias.note : fmt::format("{} or {}", alias.note, alias.when_false);
}

std::string advice(const ForeignKey& key, const Alias& alias, const Book& book,
                   const Numbers& numbers) {
  if (*alias.when_false != 0) {
    return (*alias.ours == 0 ? "" : "want ") + switch_text(alias, key.value);
  }
  if (*alias.ours == 0) return alias.note;
  if (!conversion_of(alias, key.value).empty()) {
    return "it counts something else; want " + conversion_text(key, alias, book, numbers);
  }
  return fmt::format("{} is called {} here{}", key.name, alias.ours, alias.note);
}

}  // namespace

std::string plain_name(std::string name) {
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

const Alias* find_alias(const std::string& name) {
  static const auto kByName = [] {
    std::unordered_map<std::string, const Alias*> out;
    for (const Alias& alias : aliases()) out.emplace(alias.theirs, &alias);
    return out;
  }();
  const auto found = kByName.find(plain_name(name));
  return found == kByName.end() ? nullptr : found->second;
}

void explain_aliases(const Facts& facts, Book& book) {
  if (book.foreign_keys().empty()) return;
  const Numbers numbers(facts, book);
  for (const ForeignKey& key : book.foreign_keys()) {
    const std::string where = key.section.empty() ? "" : fmt::format(" in '{}'", key.section);
    book.complain(key.place, key.path,
                  fmt::format("unknown key '{}'{}: {}", key.name, where,
                              advice(key, *find_alias(key.name), book, numbers)));
  }
}

}  // namespace rw::recipe
