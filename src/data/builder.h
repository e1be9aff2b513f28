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
  bool skip_bad_lines = false;  // of JSONL: left out and counted; else an error
  double validation_share = 0;  // 0 <= x < 1: of the documents, by their hash
  bool deduplicate = false;     // keep the first of equal documents
  int threads = 1;
  std::size_t batch_bytes = std::size_t{32}
                            << 20;  // of text at a time; longer documents: in pieces
};

struct BuildReport {
  store::CorpusInfo corpus;
  std::optional<store::CorpusInfo> validation;
  std::string validation_path;
  std::string first_skipped;  // why the first line was left out, with file and line
  std::int64_t files = 0, duplicates = 0, replaced = 0, skipped_lines = 0;
};

/// Text -> a corpus file, whole or not at all. With a validation share, documents whose hash says
/// so go to validation_path(out) instead. Same input, same bytes for any number of threads. Memory:
/// some 32 MB of text at a time and eight times that while it is encoded, however long a document is
/// (but where its words do not part: up to 256 MiB of it).
/// Throws what reading and writing throw; Error{kDataMissing} when there is no text;
/// Error{kUsage} when one of the two sets would be empty.
BuildReport build_corpus(const Tokenizer& tokenizer, const BuildOptions& options);

/// "C.h5" -> "C.validation.h5".
std::string validation_path(const std::string& out);

/// Whether a document of this hash is set aside.
bool is_validation(std::uint64_t hash, double share);

}  // namespace rw::data
