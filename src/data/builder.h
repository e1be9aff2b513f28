// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/text_source.h"
#include "data/tokenizer.h"
#include "store/corpus_file.h"

namespace rw::data {

struct BuildOptions {
  std::string out;  // *.h5
  std::vector<std::string> files;
  std::string tokenizer_name;  // noted in the corpus
  std::int32_t end_token = 0;  // behind every document
  TextRules text;
  double validation_share = 0;  // 0 <= x < 1: of the documents, by their hash
  bool deduplicate = false;     // keep the first of equal documents
  int threads = 1;
};

struct BuildReport {
  store::CorpusInfo corpus;
  std::optional<store::CorpusInfo> validation;
  std::string validation_path;
  std::int64_t files = 0, duplicates = 0, replaced = 0;
};

/// Text -> a corpus file, whole or not at all. With a validation share, documents whose hash says
/// so go to validation_path(out) instead. Same input, same bytes for any number of threads. Memory:
/// some 32 MB of text at a time, or the largest document, and eight times that while it is encoded.
/// Throws what reading and writing throw; Error{kDataMissing} when there is no text;
/// Error{kUsage} when one of the two sets would be empty.
BuildReport build_corpus(const Tokenizer& tokenizer, const BuildOptions& options);

/// "C.h5" -> "C.validation.h5".
std::string validation_path(const std::string& out);

/// Whether a document of this hash is set aside.
bool is_validation(std::uint64_t hash, double share);

}  // namespace rw::data
