// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "store/corpus_file.h"
#include "store/store.h"

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
/// rename) or not at all. Same documents, same bytes. Throws Error{kStorage}. The store
/// outlives it.
class CorpusWriter {
 public:
  CorpusWriter(Store& store, const std::string& path, CorpusHeader header);
  CorpusWriter(const std::string& path, CorpusHeader header);  // of the file system
  ~CorpusWriter();
  CorpusWriter(const CorpusWriter&) = delete;
  CorpusWriter& operator=(const CorpusWriter&) = delete;

  /// The next ids of the document that is being written.
  void append(std::span<const std::int32_t> ids);
  /// Its end: hash_document of its text, and the text's length in bytes.
  void end_document(std::uint64_t hash, std::int64_t text_bytes);
  /// Forgets what was appended since the last end.
  void drop_document();
  /// As drop_document(), but the ids are appended to `other`, of the same header.
  void give_document(CorpusWriter& other);
  /// append(), then end_document().
  void add(std::span<const std::int32_t> ids, std::uint64_t hash, std::int64_t text_bytes);

  std::int64_t documents() const;
  /// Replaces `path`. Error{kBug} without a document.
  CorpusInfo finish();

 private:
  struct State;
  CorpusWriter(std::unique_ptr<Store> own, const std::string& path, CorpusHeader header);
  std::unique_ptr<Store> own_;
  std::unique_ptr<State> state_;
};

}  // namespace rw::store
