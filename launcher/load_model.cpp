// Part of Ropewalk, MIT licence.
#include "launcher/load_model.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "ckpt/reader.h"
#include "core/error.h"
#include "model/hf.h"
#include "model/resolve.h"
#include "model/stage.h"
#include "recipe/recipe.h"
#include "store/corpus_file.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;
using core::Error;
using core::ErrorKind;

std::shared_ptr<model::Params> whole_model(const model::Options& options) {
  return model::make_params(options, {{0, options.num_hidden_layers, true, true}});
}

LoadedModel from_hugging_face(store::Store& store, const fs::path& folder) {
  LoadedModel out;
  out.options = model::read_hf_config(folder.string());
  model::resolve(out.options, 0);
  out.params = whole_model(out.options);
  model::load_hf(folder.string(), out.options, *out.params);
  const auto tokenizer = (folder / "tokenizer.json").string();
  if (store.exists(tokenizer)) out.tokenizer_json = store::read_whole(store, tokenizer);
  return out;
}

/// The recipe saved with a checkpoint, as it was resolved.
recipe::Recipe saved_recipe(const ckpt::CheckpointReader& reader) {
  const auto loaded = recipe::load_text(reader.recipe(), "the checkpoint's recipe");
  if (!loaded.complaints.empty()) {
    throw Error(ErrorKind::kDataMalformed, loaded.complaints.front());
  }
  return loaded.recipe;
}

LoadedModel from_checkpoint(store::Store& store, const fs::path& folder) {
  const ckpt::CheckpointReader reader(store, folder.string());
  const recipe::Recipe recipe = saved_recipe(reader);
  LoadedModel out;
  out.options = recipe.model;
  model::resolve(out.options, recipe.train.seq_len);
  out.params = whole_model(out.options);
  core::Stream stream;
  for (auto& param : out.params->all) {
    core::copy(reader.tensor(param.spec.name, "param"), param.value, stream);
  }
  stream.sync();
  const auto& corpus = recipe.data.sources.front().path;
  if (store.exists(corpus)) {
    const store::CorpusFile file(corpus);
    out.tokenizer_json = file.tokenizer_json();
    if (out.options.eos_token_ids.empty()) out.options.eos_token_ids = {file.info().end_of_text};
  }
  return out;
}

}  // namespace

core::DType parse_precision(const std::string& text) {
  if (text == "f32") return core::DType::kF32;
  if (text == "bf16") return core::DType::kBF16;
  throw Error(ErrorKind::kUsage, fmt::format("--precision: got {}, want f32 or bf16", text));
}

LoadedModel load_model(const std::string& folder) {
  const auto store = store::make_posix();
  const fs::path path(folder);
  if (!fs::is_directory(path)) {
    throw Error(ErrorKind::kDataMissing,
                fmt::format("--model: no folder {}; want a Hugging Face model or a checkpoint of "
                            "ours",
                            folder));
  }
  if (fs::exists(path / "config.json")) return from_hugging_face(*store, path);
  return from_checkpoint(*store, path);
}

std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& where) {
  std::vector<std::int32_t> out;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) ++at;
    if (at == end) return out;
    std::int32_t id = 0;
    const auto [next, code] = std::from_chars(at, end, id);
    const bool whole =
        next == end || *next == ' ' || *next == '\n' || *next == '\t' || *next == '\r';
    if (code != std::errc() || !whole) {
      throw Error(ErrorKind::kDataMalformed,
                  fmt::format("{}: byte {}: got '{}', want decimal token ids separated by white "
                              "space",
                              where, at - text.data(), std::string(at, std::min(end, at + 12))));
    }
    out.push_back(id);
    at = next;
  }
}

}  // namespace rw::launcher
