// Part of Ropewalk, MIT licence.
#include "launcher/commands/data_inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "data/corpus.h"
#include "data/text_source_utf8.h"
#include "data/tokenizer.h"
#include "store/corpus_file.h"

namespace rw::launcher {
namespace {

constexpr std::int64_t kSampleTokens = 64;

/// The first tokens as text, on one line.
std::string beginning(const store::CorpusFile& corpus, const data::Tokenizer& tokenizer) {
  const auto count = std::min(kSampleTokens, corpus.info().tokens);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  corpus.read_tokens(0, ids);
  std::int64_t ignored = 0;
  return data::replace_invalid_utf8(tokenizer.decode(ids), ignored);
}

}  // namespace

int run_data_inspect(const DataInspectOptions& options) {
  const store::CorpusFile corpus(options.path);
  corpus.verify();
  data::require_whole(corpus);
  const auto& info = corpus.info();
  const core::Json json{{"path", options.path},
                        {"tokens", info.tokens},
                        {"documents", info.documents},
                        {"text_bytes", info.text_bytes},
                        {"token_bytes", info.token_bytes},
                        {"vocab_size", info.vocab_size},
                        {"end_of_text", info.end_of_text},
                        {"tokenizer_name", info.tokenizer_name},
                        {"tokenizer_sha256", info.tokenizer_sha256},
                        {"content_sha256", info.content_sha256},
                        {"attributes_sha256", info.attributes_sha256},
                        {"builder", info.builder}};
  if (options.json) {
    std::cout << json.dump() << "\n";
    return 0;
  }
  for (const auto& [key, value] : json.items()) {
    std::cout << fmt::format("{:<17} {}\n", key,
                             value.is_string() ? value.get<std::string>() : value.dump());
  }
  std::string text;
  try {
    text = beginning(corpus, *data::tokenizer_from_json(corpus.tokenizer_json(), options.path));
  } catch (const core::Error& error) {  // made by scripts/tokenize_hf.py: whole all the same
    std::cout << fmt::format("{:<17} not shown: {}\n", "begins with", error.what());
    return 0;
  }
  std::cout << fmt::format("{:<17} {}\n", "begins with", core::Json(text).dump());
  return 0;
}

}  // namespace rw::launcher
