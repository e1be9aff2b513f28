// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/options.h"
#include "store/corpus_file.h"
#include "store/sha256.h"

namespace rw::data {

/// Throws Error{kDataMalformed} unless both were made with the same tokenizer.
void require_one_tokenizer(const store::CorpusFile& corpus, const store::CorpusFile& first);

/// Throws Error{kDataMalformed} when the stored tokenizer is damaged, or, in a corpus written before
/// attributes had a digest, when vocab_size is not that of the tokenizer.
void require_whole(const store::CorpusFile& corpus);

/// The corpora of data.sources, cut into samples: sample i of a source is tokens
/// [i·N, i·N + N + 1) of its array, N = seq_len, across documents; a shorter tail is dropped.
class Corpora {
 public:
  /// Opens every source. Throws Error{kDataMissing} or Error{kDataMalformed} when one cannot be
  /// read, holds less than one sample, or was made with another tokenizer than the first.
  Corpora(const std::vector<Source>& sources, std::int64_t seq_len);
  Corpora(const Options& options, std::int64_t seq_len) : Corpora(options.sources, seq_len) {}
  std::size_t size() const { return files_.size(); }
  std::int64_t seq_len() const { return seq_len_; }
  std::int64_t samples(std::size_t source) const;
  const store::CorpusFile& file(std::size_t source) const { return *files_[source]; }
  /// SHA-256 over what the samples and the model made of them depend on: contents, end-of-text ids,
  /// tokenizers, order of the sources, seq_len. Equal for a corpus and one that another version
  /// built of the same text.
  std::string digest() const;
  /// The digest of contents alone, which checkpoints of former versions name.
  std::string former_digest() const;
  /// The N + 1 tokens of one sample. Thread-safe.
  void read_sample(std::size_t source, std::int64_t sample, std::span<std::int32_t> out) const;

 private:
  store::Sha256 begin_digest() const;
  std::int64_t seq_len_;
  std::vector<std::unique_ptr<store::CorpusFile>> files_;
};

/// One micro-batch of B rows on the host: inputs are tokens 0 .. N - 1 of each sample, targets
/// tokens 1 .. N.
struct MicroBatchData {
  std::int64_t batch = 0;           // B
  std::int64_t tokens = 0;          // N per row
  core::Tensor token_ids, targets;  // [B·N] i32
  std::int64_t target_tokens = 0;   // targets that count (all of them: nothing is padded)
};

/// An empty micro-batch of that size.
MicroBatchData make_micro_batch(std::int64_t batch, std::int64_t tokens);
/// Fills row `row` of `out` from one sample.
void fill_row(const Corpora& corpora, std::size_t source, std::int64_t sample, std::int64_t row,
              MicroBatchData& out);

}  // namespace rw::data
