// Part of Ropewalk, MIT licence.
#include "launcher/commands/data_order.h"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "data/corpus.h"
#include "data/order.h"
#include "launcher/assemble.h"
#include "launcher/recipe_facts.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;

std::pair<std::int64_t, std::int64_t> parse_steps(const std::string& text) {
  const auto refuse = [&] {
    return Error(ErrorKind::kUsage,
                 fmt::format("--steps: got '{}', want A..B with 1 <= A <= B, such as 1..10", text));
  };
  const char* end = text.data() + text.size();
  std::pair<std::int64_t, std::int64_t> out;
  const auto first = std::from_chars(text.data(), end, out.first);
  if (first.ec != std::errc()) throw refuse();
  out.second = out.first;
  if (first.ptr != end) {
    if (end - first.ptr < 3 || first.ptr[0] != '.' || first.ptr[1] != '.') throw refuse();
    const auto second = std::from_chars(first.ptr + 2, end, out.second);
    if (second.ec != std::errc() || second.ptr != end) throw refuse();
  }
  if (out.first < 1 || out.second < out.first) throw refuse();
  return out;
}

void print_row(const DataOrderOptions& options, const data::Corpora& corpora, const Json& row,
               const std::vector<std::int32_t>& ids) {
  if (options.json) {
    Json out = row;
    if (options.tokens) out["token_ids"] = ids;
    std::cout << out.dump() << '\n';
    return;
  }
  std::cout << fmt::format(
      "step {} row {} source {} ({}) sample {} first_token {} epoch {}",
      row["step"].get<std::int64_t>(), row["row"].get<std::int64_t>(),
      row["source"].get<std::size_t>(), corpora.file(row["source"].get<std::size_t>()).path(),
      row["sample"].get<std::int64_t>(), row["first_token"].get<std::int64_t>(),
      row["epoch"].get<std::int64_t>());
  if (options.tokens) std::cout << fmt::format(": {}", fmt::join(ids, " "));
  std::cout << '\n';
}

}  // namespace

int run_data_order(const DataOrderOptions& options) {
  const auto [first, last] = parse_steps(options.steps);
  const auto loaded = recipe::load(options.recipe, options.overrides, gather_facts());
  if (!loaded.complaints.empty()) {
    for (const auto& complaint : loaded.complaints) std::cerr << complaint << '\n';
    return 2;
  }
  const std::int64_t seq_len = loaded.recipe.train.seq_len;
  const data::Corpora corpora(loaded.recipe.data, seq_len);
  const auto order = make_order(loaded.recipe, corpora);
  std::vector<std::int32_t> ids(options.tokens ? static_cast<std::size_t>(seq_len + 1) : 0);
  for (std::int64_t step = first; step <= last; ++step) {
    for (std::int64_t row = 0; row < order->rows_per_step(); ++row) {
      const auto what = order->at(step, row);
      Json json;
      json["step"] = step;
      json["row"] = row;
      json["source"] = what.source;
      json["sample"] = what.sample;
      json["first_token"] = what.sample * seq_len;
      json["epoch"] = what.epoch;
      if (options.tokens) corpora.read_sample(what.source, what.sample, ids);
      print_row(options, corpora, json, ids);
    }
  }
  return 0;
}

}  // namespace rw::launcher
