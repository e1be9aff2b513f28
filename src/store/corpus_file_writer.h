// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "store/corpus_file.h"

namespace rw::store {

/// What a corpus needs to know before its first document.
struct CorpusHeader {
  std::int64_t vocab_size = 0;
  std::int64_t end_of_text = 0;
  std::string tokenizer_name;
  std::string tokenizer_json;
};

/// Writes a corpus file: documents in order, then finish(). Tokens wait in a nameless file beside
/// the output; 16 bytes of memory per document. The file appears at `path` whole (aside, sync,
/// rename) or not at all. Same documents, same bytes. Throws Error{kStorage}.
class CorpusWriter {
 public:
  CorpusWriter(const std::string& path, CorpusHeader header);
  ~CorpusWriter();
  CorpusWriter(const CorpusWriter&) = delete;
  CorpusWriter& operator=(const CorpusWriter&) = delete;

  /// One document: its ids with the end token, hash_document of its text, its length in bytes.
  void add(std::span<const std::int32_t> ids, std::uint64_t hash, std::int64_t text_bytes);
  std::int64_t documents() const;
  /// Replaces `path`. Error{kBug} without a document.
  CorpusInfo finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rw::store
