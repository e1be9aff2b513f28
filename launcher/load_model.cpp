// Part of Ropewalk, MIT licence.
#include "launcher/load_model.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "ckpt/reader.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "data/corpus.h"
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

void require_memory(const std::string& folder, const model::Options& options) {
  double bytes = 0;
  for (const auto& spec : model::param_table(options)) {
    bytes += sizeof(float) * static_cast<double>(spec.shape.elems());
  }
  const double available = core::available_bytes();
  if (available <= 0 || bytes <= available) return;
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: the weights take {} ({:.0f} bytes) as f32, got {} available on this "
                          "machine; want a smaller model, or a machine with more memory",
                          folder, core::bytes_text(bytes), bytes, core::bytes_text(available)));
}

LoadedModel from_hugging_face(store::Store& store, const fs::path& folder, WithTokenizer with,
                              const std::string& strip_prefix) {
  LoadedModel out;
  out.options = model::read_hf_config(folder.string());
  model::resolve(out.options, 0);
  model::check_hf_weights(folder.string(), out.options, strip_prefix);
  require_memory(folder.string(), out.options);
  out.params = whole_model(out.options);
  model::load_hf(folder.string(), out.options, *out.params, strip_prefix);
  const auto tokenizer = (folder / "tokenizer.json").string();
  if (with == WithTokenizer::kYes && store.exists(tokenizer)) {
    out.tokenizer_json = store::read_whole(store, tokenizer);
  }
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

LoadedModel from_checkpoint(store::Store& store, const fs::path& folder, WithTokenizer with) {
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
  const bool no_end = out.options.eos_token_ids.empty();
  if ((with == WithTokenizer::kYes || no_end) && store.exists(corpus)) {
    const store::CorpusFile file(corpus);
    if (with == WithTokenizer::kYes) data::require_whole(file);
    if (with == WithTokenizer::kYes) out.tokenizer_json = file.tokenizer_json();
    if (no_end) out.options.eos_token_ids = {file.info().end_of_text};
  }
  return out;
}

}  // namespace

core::DType parse_precision(const std::string& text) {
  if (text == "f32") return core::DType::kF32;
  if (text == "bf16") return core::DType::kBF16;
  throw Error(ErrorKind::kUsage, fmt::format("--precision: got {}, want f32 or bf16", text));
}

LoadedModel load_model(const std::string& folder, WithTokenizer tokenizer,
                       const std::string& strip_prefix) {
  const auto store = store::make_posix();
  const fs::path path(folder);
  if (!fs::is_directory(path)) {
    throw Error(ErrorKind::kDataMissing,
                fmt::format("--model: no folder {}; want a Hugging Face model or a checkpoint of "
                            "ours",
                            folder));
  }
  if (fs::exists(path / "config.json")) {
    return from_hugging_face(*store, path, tokenizer, strip_prefix);
  }
  if (!strip_prefix.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--strip-prefix: got {}, but {} has no config.json: a checkpoint's "
                            "names have no prefix; want a Hugging Face folder",
                            strip_prefix, folder));
  }
  return from_checkpoint(*store, path, tokenizer);
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
