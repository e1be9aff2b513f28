// Part of Ropewalk, MIT licence.
#include "launcher/recipe_facts.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/error.h"
#include "launcher/home.h"
#include "model/hf.h"
#include "model/resolve.h"
#include "store/corpus_file.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> file_problem(const std::string& path) {
  std::error_code code;
  if (!fs::exists(path, code)) return "no such file";
  if (::access(path.c_str(), R_OK) != 0) return core::errno_text(errno);
  return std::nullopt;
}

std::string read_file(const std::string& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 24;  // of a recipe
  const auto store = store::make_posix();
  return store::read_whole(*store, path, kMostBytes);
}

/// A corpus that cannot be read is no matter of the recipe: opening it for training says why.
std::optional<std::int64_t> corpus_vocab(const std::string& path) {
  try {
    return store::CorpusFile(path).info().vocab_size;
  } catch (const core::Error&) {
    return std::nullopt;
  }
}

std::optional<std::int64_t> corpus_tokens(const std::string& path) {
  try {
    return store::CorpusFile(path).info().tokens;
  } catch (const core::Error&) {
    return std::nullopt;
  }
}

/// Throws what makes config.json unusable: that is said at model.from.
std::optional<model::Options> model_from(const std::string& folder) {
  return model::read_hf_config(folder);
}

}  // namespace

recipe::Facts gather_facts() {
  recipe::Facts out;
  out.home = home_folder();
  out.read_file = read_file;
  out.resolve = model::resolve;
  out.corpus_vocab = corpus_vocab;
  out.corpus_tokens = corpus_tokens;
  out.file_problem = file_problem;
  out.model_from = model_from;
  return out;
}

}  // namespace rw::launcher
