// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/document_hash.h"

namespace rw::store {

/// What a corpus says about itself; byte by byte in docs/formats/corpus.md.
struct CorpusInfo {
  std::int64_t tokens = 0, documents = 0;
  int token_bytes = 2;            // 2 when vocab_size <= 65536, else 4
  std::int64_t vocab_size = 0;    // largest id of the tokenizer + 1
  std::int64_t end_of_text = -1;  // the id that ends each document
  std::string tokenizer_sha256;   // of the tokenizer.json that is stored inside
  std::string content_sha256;     // of the token array's bytes, then the offsets' (as stored)
  std::string tokenizer_name;     // "bytes", or the tokenizer file's name
  std::int64_t text_bytes = 0;    // UTF-8 bytes that were encoded, without end tokens
  std::string builder;            // program and version that wrote it
  std::string hash_sha256;        // of the documents' hashes; "": written before 0.3
  std::string attributes_sha256;  // of all that stands above; "": written before 0.3
};

/// A corpus file, read-only: HDF5 as the container, its contiguous arrays mapped into memory
/// (papers/data_boom.md §8.2). Opening reads no tokens. All const functions are thread-safe; HDF5
/// itself is used in the constructor only.
class CorpusFile {
 public:
  /// Throws Error{kDataMissing}: no such file, or an empty one; Error{kDataMalformed}: truncated,
  /// not a corpus, another schema, attributes that are not those of their digest, or sizes inside that contradict each other.
  explicit CorpusFile(const std::string& path);
  ~CorpusFile();
  CorpusFile(const CorpusFile&) = delete;
  CorpusFile& operator=(const CorpusFile&) = delete;

  const CorpusInfo& info() const { return info_; }
  const std::string& path() const { return path_; }

  /// tokens[first, first + out.size()). Throws Error{kDataMalformed} for an id outside of the
  /// vocabulary, Error{kBug} for a range outside of the array.
  void read_tokens(std::int64_t first, std::span<std::int32_t> out) const;
  /// The tokenizer.json the corpus was made with (for `bytes`: its export).
  std::string tokenizer_json() const;
  /// offsets[first, first + count) of documents + 1: document d is tokens[offset d, offset d + 1).
  std::vector<std::int64_t> document_offsets(std::int64_t first, std::int64_t count) const;
  /// hash_document of document d's text, for d in [first, first + count).
  std::vector<std::uint64_t> document_hashes(std::int64_t first, std::int64_t count) const;
  /// Error{kDataMalformed} unless the stored tokenizer is that of tokenizer_sha256.
  void check_tokenizer() const;
  /// Reads everything: offsets ascend, ids fit, both digests hold; else Error{kDataMalformed}.
  void verify() const;

 private:
  class Mapping;
  struct Reader;
  void read_attributes(const Reader& reader);
  void check_arrays() const;
  void check_attributes() const;
  /// Every stride-th document ends with end_of_text.
  void check_ends(std::int64_t stride) const;
  std::string path_;
  CorpusInfo info_;
  std::unique_ptr<Mapping> mapping_;
  std::span<const std::byte> tokens_, offsets_, hashes_, tokenizer_;
};

}  // namespace rw::store
