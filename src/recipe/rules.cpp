// Part of Ropewalk, MIT licence.
#include "recipe/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "core/error.h"
#include "recipe/keys.h"
#include "recipe/resolved.h"

namespace rw::recipe {
namespace {

void require_keys(Book& book) {
  for (const auto& key : required_keys()) {
    if (book.has(key) || !book.good(key)) continue;
    const auto dot = key.find('.');
    if (dot != std::string::npos && !book.has(key.substr(0, dot))) continue;  // said already
    const auto& all = keys();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Key& one) { return one.path() == key; });
    book.complain(key, fmt::format("got nothing, want it: it is required{}",
                                   found == all.end() ? "" : " (" + found->help + ")"));
  }
  const bool train = book.has("train");
  if (train && !book.has("train.max_steps") && !book.has("train.max_tokens") &&
      book.good({"train.max_steps", "train.max_tokens"})) {
    book.complain("train.max_steps", "got nothing, want it or train.max_tokens");
  }
  constexpr std::array kSizes{"model.hidden_size", "model.num_hidden_layers",
                              "model.num_attention_heads", "model.vocab_size"};
  if (!book.has("model") || book.has("model.from") || !book.good("model.from")) return;
  for (const char* key : kSizes) {
    if (!book.has(key) && book.good(key)) {
      book.complain(key, "got nothing, want it: it is required unless model.from names a model");
    }
  }
}

/// What the folder's config.json says; nullopt: nothing, or it is refused.
std::optional<model::Options> read_model_from(const Facts& facts, Book& book) {
  const auto& from = book.recipe.model.from;
  if (from.empty() || !book.good("model.from") || !facts.model_from) return std::nullopt;
  try {
    return facts.model_from(from);
  } catch (const core::Error& error) {
    book.complain("model.from", fmt::format("got a model that cannot be used: {}", error.what()));
    return std::nullopt;
  }
}

/// Sizes that the recipe states must be those of the folder.
void take_model_from(const Facts& facts, Book& book) {
  const auto read = read_model_from(facts, book);
  if (!read) return;
  auto& recipe = book.recipe;
  Recipe theirs = recipe;
  theirs.model = *read;
  theirs.model.from = recipe.model.from;
  Recipe whole = theirs;  // with what the folder leaves open
  try {
    if (facts.resolve) facts.resolve(whole.model, recipe.train.seq_len);
  } catch (const core::Error&) {
    whole = theirs;  // resolve_model says it
  }
  for (const Key& key : keys()) {
    const bool given = key.section.rfind("model", 0) == 0 && book.has(key.path());
    if (!given || key.name == "from" || key.name == "max_position_embeddings") continue;
    const std::string ours = value_text(key, recipe);
    const std::string other = value_text(key, whole);
    if (ours == other || ours.empty()) continue;
    book.complain(key.path(), fmt::format("got {}, want {}, as the model in {} has it; try it "
                                          "without this key",
                                          ours, other.empty() ? "none" : other, recipe.model.from));
  }
  recipe.model = theirs.model;
}

/// Heads and sizes; each at its own key, so that all are said at once.
void rule_sizes(Book& book) {
  const auto& model = book.recipe.model;
  const std::int64_t heads = model.num_attention_heads;
  if (heads < 1 || !book.good("model.num_attention_heads")) return;
  const std::int64_t shared = model.num_key_value_heads;
  if (shared > 0 && heads % shared != 0 && book.good("model.num_key_value_heads")) {
    std::int64_t fits = std::min(shared, heads);
    while (heads % fits != 0) --fits;
    book.complain("model.num_key_value_heads",
                  fmt::format("got {}, want a divisor of model.num_attention_heads {}; try {}",
                              shared, heads, fits));
  }
  if (model.name == "llama" && model.hidden_size % heads != 0 &&
      book.good({"model.hidden_size", "model.name"})) {
    book.complain("model.hidden_size",
                  fmt::format("got {}, want a multiple of model.num_attention_heads {}; try {}",
                              model.hidden_size, heads, (model.hidden_size / heads + 1) * heads));
  }
  if (model.head_dim % 2 != 0 && book.good("model.head_dim")) {
    book.complain("model.head_dim",
                  fmt::format("got {}, want an even number (rotary embedding turns pairs); try {}",
                              model.head_dim, model.head_dim + 1));
  }
}

/// What each kind of RoPE needs, and what it would leave unread.
void rule_rope(Book& book) {
  const std::string section = "model.rope_parameters.";
  const auto& rope = book.recipe.model.rope_parameters;
  if (!book.good(section + "rope_type")) return;
  const std::string factor = section + "factor";
  if (rope.rope_type == "default") {
    if (rope.factor != 1 && book.good(factor)) {
      book.complain(factor, fmt::format("got {}, but rope_type default stretches nothing; try "
                                        "rope_type: linear or llama3",
                                        rope.factor));
    }
    return;
  }
  if (!book.has(factor) && book.good(factor)) {
    book.complain(factor, fmt::format("got nothing, want it with rope_type {}: how many times "
                                      "longer the context becomes",
                                      rope.rope_type));
  }
  if (rope.rope_type != "llama3") return;
  const std::string before = section + "original_max_position_embeddings";
  if (rope.original_max_position_embeddings < 1 && book.good(before)) {
    book.complain(before, fmt::format("got {}, want the context length before scaling; try 8192, "
                                      "as LLaMA 3",
                                      book.has(before) ? "0" : "nothing"));
  }
  const std::string high = section + "high_freq_factor";
  if (rope.high_freq_factor <= rope.low_freq_factor && book.good(high) &&
      book.good(section + "low_freq_factor")) {
    book.complain(high, fmt::format("got {}, want more than low_freq_factor {}",
                                    rope.high_freq_factor, rope.low_freq_factor));
  }
}

/// What the model itself derives and refuses.
void resolve_model(const Facts& facts, Book& book) {
  auto& recipe = book.recipe;
  const auto& model = recipe.model;
  if (!facts.resolve || model.hidden_size == 0 || model.num_attention_heads == 0) return;
  for (const Key& key : keys()) {
    if (key.section.rfind("model", 0) == 0 && !book.good(key.path())) return;
  }
  try {
    facts.resolve(recipe.model, recipe.train.seq_len);
  } catch (const core::Error& error) {
    const std::string text = error.what();  // "model.KEY: got …, want …"
    const auto cut = text.find(": ");
    const bool keyed = text.rfind("model.", 0) == 0 && cut != std::string::npos;
    book.complain(keyed ? text.substr(0, cut) : "model", keyed ? text.substr(cut + 2) : text);
  }
}

void rule_batches(Book& book) {
  const auto& recipe = book.recipe;
  const auto& train = recipe.train;
  if (book.good({"train.global_batch_size", "train.micro_batch_size", "parallel.dp"})) {
    const std::int64_t unit = train.micro_batch_size * recipe.parallel.dp;
    if (train.global_batch_size % unit != 0) {
      book.complain(
          "train.global_batch_size",
          fmt::format("got {}, want a multiple of train.micro_batch_size · parallel.dp = "
                      "{}; try {}",
                      train.global_batch_size, unit, (train.global_batch_size / unit + 1) * unit));
    }
  }
  if (book.good({"lr_scheduler.warmup_steps", "train.max_steps"}) && train.max_steps > 0 &&
      recipe.lr_scheduler.warmup_steps > train.max_steps) {
    book.complain("lr_scheduler.warmup_steps",
                  fmt::format("got {}, want at most train.max_steps = {}; try "
                              "lr_scheduler.warmup_steps={}",
                              recipe.lr_scheduler.warmup_steps, train.max_steps, train.max_steps));
  }
  if (book.good({"lr_scheduler.min_lr", "optimizer.lr"}) &&
      recipe.lr_scheduler.min_lr > recipe.optimizer.lr) {
    book.complain(
        "lr_scheduler.min_lr",
        fmt::format("got {}, want at most optimizer.lr = {}; try lr_scheduler.min_lr={}",
                    recipe.lr_scheduler.min_lr, recipe.optimizer.lr, recipe.optimizer.lr));
  }
}

/// The override with which as many layers are enough.
std::string fewer_stages(std::int64_t pp, std::int64_t layers) {
  return pp <= layers
             ? fmt::format("pipeline.chunks={}", layers / pp)
             : fmt::format("parallel.pp={} (with pipeline.chunks=1, if interleaved)", layers);
}

/// layers over stages as they are without stage_split: "[2,1]".
std::string even_split(std::int64_t layers, std::int64_t stages) {
  std::string out;
  for (std::int64_t i = 0; i < stages; ++i) {
    out += fmt::format("{}{}", i == 0 ? "[" : ",", layers / stages + (i < layers % stages ? 1 : 0));
  }
  return out + "]";
}

void rule_stages(Book& book) {
  const auto& recipe = book.recipe;
  const std::int64_t layers = recipe.model.num_hidden_layers;
  if (!book.good(
          {"parallel.pp", "pipeline.schedule", "pipeline.chunks", "model.num_hidden_layers"}) ||
      layers == 0) {
    return;
  }
  if (!recipe.pipeline.solution.empty()) return;  // its arrangement says how many stages there are
  const bool interleaved = recipe.pipeline.schedule == "interleaved";
  const std::int64_t stages = recipe.parallel.pp * (interleaved ? recipe.pipeline.chunks : 1);
  if (stages > layers) {
    book.complain("parallel.pp",
                  fmt::format("got {} stages{}, want at most model.num_hidden_layers = {}; try {}",
                              stages, interleaved ? " (pp · pipeline.chunks)" : "", layers,
                              fewer_stages(recipe.parallel.pp, layers)));
    return;
  }
  const auto& split = recipe.pipeline.stage_split;
  if (split.empty() || !book.good("pipeline.stage_split")) return;
  const std::int64_t sum = std::accumulate(split.begin(), split.end(), std::int64_t{0});
  if (static_cast<std::int64_t>(split.size()) != stages || sum != layers) {
    book.complain("pipeline.stage_split",
                  fmt::format("got {} stages with {} layers, want {} stages with {} layers; try "
                              "pipeline.stage_split={}",
                              split.size(), sum, stages, layers, even_split(layers, stages)));
  }
}

void rule_ranks(const Facts& facts, Book& book) {
  const auto& parallel = book.recipe.parallel;
  if (!facts.ranks || !book.good({"parallel.dp", "parallel.pp"})) return;
  if (parallel.dp * parallel.pp != *facts.ranks) {
    book.complain("parallel", fmt::format("got dp {} · pp {} = {} ranks, want {}, as the launcher "
                                          "started; try mpirun -np {}",
                                          parallel.dp, parallel.pp, parallel.dp * parallel.pp,
                                          *facts.ranks, parallel.dp * parallel.pp));
  }
}

void rule_corpora(const Facts& facts, const std::string& key,
                  const std::vector<data::Source>& sources, Book& book) {
  if (!book.good(key.c_str())) return;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::string at = fmt::format("{}[{}].path", key, i);
    if (sources[i].path.empty() || !book.good(at)) continue;
    if (facts.file_problem) {
      if (const auto problem = facts.file_problem(sources[i].path)) {
        book.complain(at, fmt::format("got {}, want a corpus made by `ropewalk data build`: {}",
                                      sources[i].path, *problem));
        continue;
      }
    }
    if (!facts.corpus_vocab || !book.good("model.vocab_size")) continue;
    const auto need = facts.corpus_vocab(sources[i].path);
    const std::int64_t have = book.recipe.model.vocab_size;
    if (need && have > 0 && *need > have) {
      book.complain("model.vocab_size",
                    fmt::format("got {}, want at least {}, the vocabulary of {}", have, *need,
                                sources[i].path));
    }
  }
}

void rule_data(const Facts& facts, Book& book) {
  const auto& data = book.recipe.data;
  if (book.has("data.sources") && book.good("data.sources") && data.sources.empty()) {
    book.complain("data.sources", "got an empty list, want at least one {path: FILE}");
  }
  rule_corpora(facts, "data.sources", data.sources, book);
  rule_corpora(facts, "data.validation", data.validation, book);
  if (data.validation_interval > 0 && data.validation.empty() &&
      book.good({"data.validation_interval", "data.validation"})) {
    book.complain("data.validation_interval", fmt::format("got {}, but data.validation names no "
                                                          "corpus; want one, or 0; try "
                                                          "data.validation_interval=0",
                                                          data.validation_interval));
  }
}

/// The files of a planner, and times that are played.
void rule_plan_files(const Facts& facts, Book& book) {
  const auto& pipeline = book.recipe.pipeline;
  const auto without = [&](const char* here, const char* there, const char* want) {
    if (book.has(here) && !book.has(there) && book.good({here, there})) {
      book.complain(here, fmt::format("got it without {}, want {}", there, want));
    }
  };
  if (pipeline.schedule == "skippipe") {
    without("pipeline.solution", "pipeline.problem", "both or neither");
    if (!pipeline.emulate) without("pipeline.problem", "pipeline.solution", "both or neither");
  }
  if (pipeline.emulate)
    without("pipeline.emulate", "pipeline.problem", "the problem whose times are to be played");
  if (!pipeline.topology.empty() && book.has("pipeline.solution") &&
      book.good({"pipeline.topology", "pipeline.solution"})) {
    book.complain("pipeline.topology", "got it beside pipeline.solution, want one of them");
  }
  for (const auto& [key, path] : {std::pair{"pipeline.topology", &pipeline.topology},
                                  std::pair{"pipeline.problem", &pipeline.problem},
                                  std::pair{"pipeline.solution", &pipeline.solution}}) {
    if (path->empty() || !facts.file_problem || !book.good(key)) continue;
    if (const auto problem = facts.file_problem(*path)) {
      book.complain(key, fmt::format("got {}, want a JSON file: {}", *path, *problem));
    }
  }
  const auto& slow = pipeline.emulate_slow;
  if (slow.empty() || !book.good({"pipeline.emulate_slow", "parallel.dp", "parallel.pp"})) return;
  const std::int64_t ranks = book.recipe.parallel.dp * book.recipe.parallel.pp;
  if (slow.size() != 3 || slow[0] >= ranks || slow[2] < 1) {
    book.complain(
        "pipeline.emulate_slow",
        fmt::format("got [{}], want three numbers: a rank below {}, a step, a factor of at "
                    "least 1",
                    fmt::join(slow, ", "), ranks));
  } else if (!pipeline.emulate) {
    book.complain("pipeline.emulate_slow", "got it without pipeline.emulate, want both");
  }
}

/// Skipping.
void rule_skipping(Book& book) {
  const auto& pipeline = book.recipe.pipeline;
  if (!book.good("pipeline.schedule")) return;
  const bool skips = pipeline.schedule == "skippipe";
  const std::array<std::pair<const char*, bool>, 8> given{{
      {"pipeline.skip_fraction", pipeline.skip_fraction != 0},
      {"pipeline.max_swaps", pipeline.max_swaps != 0},
      {"pipeline.rotation", pipeline.rotation != 0},
      {"pipeline.full_every", pipeline.full_every != 0},
      {"pipeline.problem", !pipeline.problem.empty() && !pipeline.emulate},
      {"pipeline.solution", !pipeline.solution.empty()},
      {"pipeline.topology", !pipeline.topology.empty()},
      {"pipeline.replan_share", pipeline.replan_share != 0},
  }};
  for (const auto& [key, set] : given) {
    if (skips || !set || !book.good(key)) continue;
    book.complain(key, fmt::format("got it with pipeline.schedule {}, want it with skippipe alone; "
                                   "try pipeline.schedule: skippipe",
                                   pipeline.schedule));
  }
  if (!skips) return;
  const bool turns = pipeline.rotation > 1 || pipeline.full_every > 0;
  if (turns && pipeline.replan_share > 0 && book.good("pipeline.replan_share")) {
    book.complain(
        "pipeline.replan_share",
        "got it with plans that take turns (pipeline.rotation, pipeline.full_every), want 0: "
        "these are not planned anew; try pipeline.replan_share=0");
  }
  for (const auto& [key, value] : {std::pair{"pipeline.rotation", pipeline.rotation},
                                   std::pair{"pipeline.full_every", pipeline.full_every}}) {
    if (value == 0 || pipeline.solution.empty() || !book.good(key)) continue;
    book.complain(key,
                  "got it beside pipeline.solution, which has its own plans; want it in the "
                  "problem that this solves");
  }
  if (!book.good({"pipeline.skip_fraction", "parallel.pp"})) return;
  const std::int64_t pp = book.recipe.parallel.pp;
  if (pipeline.solution.empty() && !pipeline::kept_stages(pp, pipeline.skip_fraction)) {
    std::string fits;
    for (std::int64_t left_out = 0; left_out == 0 || left_out + 2 <= pp; ++left_out) {
      const double share = static_cast<double>(left_out) / static_cast<double>(pp);
      fits += fmt::format("{}{:.4g}", fits.empty() ? "" : ", ", share);
    }
    book.complain("pipeline.skip_fraction",
                  fmt::format("got {}, want a whole number of parallel.pp = {} stages left out and "
                              "at least two kept; try one of {}",
                              pipeline.skip_fraction, pp, fits));
  }
}

/// What follows from other keys: max_steps from max_tokens, patience from the schedule.
void derive(Book& book) {
  auto& pipeline = book.recipe.pipeline;
  if (pipeline.schedule == "skippipe" && !book.has("pipeline.patience_ms"))
    pipeline.patience_ms = 1;
  auto& train = book.recipe.train;
  const std::int64_t per_step = train.global_batch_size * train.seq_len;
  if (train.max_steps == 0 && train.max_tokens > 0 && per_step > 0 &&
      book.good("train.max_steps")) {
    train.max_steps = (train.max_tokens + per_step - 1) / per_step;
  }
}

/// Below 0 only -1 means something.
void rule_patience(Book& book) {
  const double patience = book.recipe.pipeline.patience_ms;
  if (patience >= 0 || patience == -1 || !book.good("pipeline.patience_ms")) return;
  book.complain("pipeline.patience_ms",
                fmt::format("got {}, want a time from 0, or -1 to wait for ever; try "
                            "pipeline.patience_ms=-1",
                            patience));
}

void rule_files(const Facts& facts, Book& book) {
  const auto& from = book.recipe.model.from;
  if (from.empty() || !facts.file_problem || !book.good("model.from")) return;
  for (const std::string& path : {from, from + "/config.json"}) {
    if (const auto problem = facts.file_problem(path)) {
      book.complain("model.from", fmt::format("got {}, want the folder of a Hugging Face model: "
                                              "{}: {}",
                                              from, path, *problem));
      return;
    }
  }
}

}  // namespace

void apply_rules(const Facts& facts, Book& book) {
  require_keys(book);
  derive(book);
  rule_files(facts, book);
  take_model_from(facts, book);
  if (book.recipe.model.from.empty()) {
    rule_sizes(book);
    rule_rope(book);
  }
  resolve_model(facts, book);
  rule_batches(book);
  rule_stages(book);
  rule_skipping(book);
  rule_patience(book);
  rule_plan_files(facts, book);
  rule_ranks(facts, book);
  rule_data(facts, book);
}

}  // namespace rw::recipe
