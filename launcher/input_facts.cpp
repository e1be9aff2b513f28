// Part of Ropewalk, MIT licence.
#include "launcher/input_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string_view>

#include "store/posix.h"
#include "store/sha256.h"

namespace rw::launcher {
namespace {

std::string fact_of(const store::CorpusInfo& info) {
  return fmt::format("{} tokens with digest {}, tokenizer {}, end of text {}", info.tokens,
                     info.content_sha256, info.tokenizer_sha256, info.end_of_text);
}

void add_corpora(const std::string& key, const data::Corpora& corpora, std::vector<Fact>& out) {
  for (std::size_t i = 0; i < corpora.size(); ++i) {
    const store::CorpusFile& file = corpora.file(i);
    out.push_back({fmt::format("{}[{}].path", key, i),
                   fmt::format("{}: {}", file.path(), fact_of(file.info()))});
  }
}

/// Of a file that may be large: its size, and pages all over it.
std::string sampled_digest(store::Store& store, const std::string& path) {
  constexpr std::uint64_t kPage = 4096, kSamples = 64;
  const auto file = store.open(path);
  const std::uint64_t bytes = file->bytes();
  store::Sha256 digest;
  digest.update(std::to_string(bytes));
  std::vector<std::byte> page(std::min(kPage, bytes));
  for (std::uint64_t i = 0; i < kSamples && !page.empty(); ++i) {
    const std::uint64_t last = bytes - page.size();
    file->read_at(last / (kSamples - 1) * i + last % (kSamples - 1) * i / (kSamples - 1), page);
    digest.update(page);
  }
  return digest.finish_hex();
}

void add_weights(const std::string& folder, std::vector<Fact>& out) {
  constexpr std::string_view kEnding = ".safetensors";
  const auto store = store::make_posix();
  for (const std::string& name : store->list(folder)) {
    const bool weights = name.size() > kEnding.size() && name.ends_with(kEnding);
    if (!weights) continue;
    const std::string path = (std::filesystem::path(folder) / name).string();
    out.push_back(
        {"model.from/" + name, fmt::format("{}: {}", path, sampled_digest(*store, path))});
  }
}

}  // namespace

std::vector<Fact> input_facts(const recipe::Recipe& recipe, const data::Corpora& sources) {
  std::vector<Fact> out;
  add_corpora("data.sources", sources, out);
  if (!recipe.data.validation.empty()) {
    add_corpora("data.validation", {recipe.data.validation, recipe.train.seq_len}, out);
  }
  if (!recipe.model.from.empty()) add_weights(recipe.model.from, out);
  const auto store = store::make_posix();
  for (const auto& [key, path] : {std::pair("pipeline.topology", recipe.pipeline.topology),
                                  std::pair("pipeline.problem", recipe.pipeline.problem),
                                  std::pair("pipeline.solution", recipe.pipeline.solution)}) {
    if (path.empty()) continue;
    out.push_back(
        {key, fmt::format("{}: {}", path, store::sha256_hex(store::read_whole(*store, path)))});
  }
  return out;
}

}  // namespace rw::launcher
