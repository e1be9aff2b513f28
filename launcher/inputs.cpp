// Part of Ropewalk, MIT licence.
#include "launcher/inputs.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/error.h"
#include "data/tokenizer.h"
#include "model/hf.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;

/// A model goes on with the ids that it has learnt.
void check_model_tokenizer(const std::string& folder, const store::CorpusFile& corpus) {
  const auto store = store::make_posix();
  const std::string path = (fs::path(folder) / "tokenizer.json").string();
  if (!store->exists(path)) return;
  if (data::same_tokenizer(store::read_whole(*store, path), corpus.tokenizer_json())) return;
  throw core::Error(
      core::ErrorKind::kDataMalformed,
      fmt::format("{}: made with tokenizer {}, but the model of model.from has another one: {}; "
                  "build the corpus with that, or take the file away when other ids are meant",
                  corpus.path(), corpus.info().tokenizer_name, path));
}

}  // namespace

void check_inputs(const recipe::Recipe& recipe, const data::Corpora& sources) {
  const auto& corpus = sources.file(0);  // the others have the same tokenizer
  data::require_tokenizer(corpus.tokenizer_json(), corpus.path() + ": /tokenizer/json");
  if (!recipe.data.validation.empty()) {
    const data::Corpora validation(recipe.data.validation, recipe.train.seq_len);
    data::require_one_tokenizer(validation.file(0), sources.file(0));
  }
  if (recipe.model.from.empty()) return;
  model::check_hf_weights(recipe.model.from, recipe.model);
  check_model_tokenizer(recipe.model.from, sources.file(0));
}

}  // namespace rw::launcher
