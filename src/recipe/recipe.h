// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ckpt/options.h"
#include "data/options.h"
#include "model/options.h"
#include "optim/options.h"
#include "pipeline/options.h"
#include "train/options.h"

namespace rw::recipe {

/// An experiment. Every key is declared once, in keys.cpp.
struct Recipe {
  std::string run_name, output_dir;
  std::string method = "pipeline";
  std::string precision = "f32";
  std::string device = "cpu";
  std::uint64_t seed = 0;
  model::Options model;
  pipeline::ParallelOptions parallel;
  pipeline::Options pipeline;
  train::Options train;
  optim::Options optimizer;
  optim::ScheduleOptions lr_scheduler;
  data::Options data;
  ckpt::Options checkpoint;
  train::LogOptions log;
  train::WatchdogOptions watchdog;
};

/// One thing that is wrong with a recipe, and where.
struct Complaint {
  std::string file;
  int line = 1;    // from 1
  int column = 1;  // from 1, in characters
  std::string key;
  std::string message;  // "got X, want Y; try Z"
  std::string source;   // the line of the file; of a long one what stands around the place
  int caret = 1;        // the column within `source`
  /// "FILE:LINE:COL: key: message", the line, a caret below the place.
  std::string text() const;
};
/// Complaints about one place as one text: further ones follow in lines of their own, as "and key:
/// message", so that each place is printed once. Not empty.
std::string text_of(const std::vector<Complaint>& same_place);

/// Places that are printed.
inline constexpr std::size_t kMostTexts = 100;

struct Loaded {
  Recipe recipe;                        // as far as it could be read
  std::vector<Complaint> details;       // in the order of the file, overrides last; empty: good
  std::vector<std::string> complaints;  // their texts, one for each place; a last one counts those
                                        // beyond kMostTexts
  std::string resolved_text;            // YAML with every key; reads back to the same recipe
  /// The text of a complaint about a key, where it stands, for who finds one later than load().
  std::function<std::string(const std::string& key, const std::string& message)> complaint_at;
};

/// What the recipe cannot know by itself. What is absent is not checked.
struct Facts {
  std::optional<int> ranks;  // that the launcher started
  /// The home folder, for "~/" (core/typed_path.h); "": not known; absent: paths are as they stand.
  std::optional<std::string> home;
  /// A file's text, without waiting and bounded; throws core::Error. load() needs it.
  std::function<std::string(const std::string& path)> read_file;
  /// Largest token id + 1, and tokens, of a corpus; nullopt: cannot be read (another check says why).
  std::function<std::optional<std::int64_t>(const std::string& corpus)> corpus_vocab;
  std::function<std::optional<std::int64_t>(const std::string& corpus)> corpus_tokens;
  /// Why a path cannot be read; nullopt: it can.
  std::function<std::optional<std::string>(const std::string& path)> file_problem;
  /// The model of a folder; may throw core::Error.
  std::function<std::optional<model::Options>(const std::string& folder)> model_from;
  /// Fills what the model's options leave open; throws core::Error "model.KEY: …".
  std::function<void(model::Options& options, std::int64_t seq_len)> resolve;
};

/// Reads and checks a recipe with its overrides "key.sub=value", all complaints at once. Throws
/// Error{kUsage} when the file cannot be read. Cost: well below 10 ms; linear in the text.
Loaded load(const std::string& path, const std::vector<std::string>& overrides, const Facts& facts);
/// The same from a text; `name` stands for the file in complaints.
Loaded load_text(const std::string& yaml, const std::string& name,
                 const std::vector<std::string>& overrides = {}, const Facts& facts = {});

/// A key that has a value, and the value as YAML in one line.
struct KeyValue {
  std::string key, value;
};
/// What all ranks of a job must have alike, in the order of docs/recipe.md: every key but those that
/// each rank may have its own value of.
std::vector<KeyValue> shared_values(const Recipe& recipe);

/// The JSON Schema (draft 2020-12) of recipes, and docs/recipe.md.
std::string json_schema();
std::string markdown();

}  // namespace rw::recipe
