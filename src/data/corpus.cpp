// Part of Ropewalk, MIT licence.
#include "data/corpus.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/permutation.h"
#include "data/tokenizer.h"
#include "store/sha256.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;

void require_one_tokenizer(const store::CorpusFile& corpus, const store::CorpusFile& first) {
  const auto& ours = corpus.info();
  const auto& theirs = first.info();
  if (ours.tokenizer_sha256 == theirs.tokenizer_sha256) return;
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: made with tokenizer {} (sha256 {:.12}), but {} with {} ({:.12}); "
                          "build all corpora with one tokenizer",
                          corpus.path(), ours.tokenizer_name, ours.tokenizer_sha256, first.path(),
                          theirs.tokenizer_name, theirs.tokenizer_sha256));
}

void require_whole(const store::CorpusFile& corpus) {
  corpus.check_tokenizer();
  const auto& info = corpus.info();
  if (!info.attributes_sha256.empty()) return;
  const auto size = vocabulary_size(corpus.tokenizer_json(), corpus.path() + ": its tokenizer");
  if (!size || *size == info.vocab_size) return;
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: has vocab_size {}, but its tokenizer has {}; build it again with "
                          "`ropewalk data build`",
                          corpus.path(), info.vocab_size, *size));
}

Corpora::Corpora(const std::vector<Source>& sources, std::int64_t seq_len) : seq_len_(seq_len) {
  for (const auto& source : sources) {
    files_.push_back(std::make_unique<store::CorpusFile>(source.path));
    const auto& info = files_.back()->info();
    if (info.tokens < seq_len + 1) {
      throw Error(ErrorKind::kDataMalformed,
                  fmt::format("{}: holds {} tokens, want at least train.seq_len + 1 = {}; try a "
                              "shorter seq_len or more text",
                              source.path, info.tokens, seq_len + 1));
    }
    require_one_tokenizer(*files_.back(), *files_.front());
    require_whole(*files_.back());
  }
}

std::int64_t Corpora::samples(std::size_t source) const {
  return (files_[source]->info().tokens - 1) / seq_len_;
}

store::Sha256 Corpora::begin_digest() const {
  store::Sha256 hash;
  hash.update(fmt::format("{} seq_len {}\n", kPermutationVersion, seq_len_));
  // Second form of the key of each source but the first: older checkpoints are refused, not reread.
  if (files_.size() > 1) hash.update("source keys 2\n");
  return hash;
}

std::string Corpora::digest() const {
  store::Sha256 hash = begin_digest();
  for (const auto& file : files_) {
    const auto& info = file->info();
    hash.update(fmt::format("{} tokenizer {} vocab_size {} end_of_text {}\n", info.content_sha256,
                            info.tokenizer_sha256, info.vocab_size, info.end_of_text));
  }
  return hash.finish_hex();
}

std::string Corpora::former_digest() const {
  store::Sha256 hash = begin_digest();
  for (const auto& file : files_) hash.update(file->info().content_sha256 + "\n");
  return hash.finish_hex();
}

void Corpora::read_sample(std::size_t source, std::int64_t sample,
                          std::span<std::int32_t> out) const {
  files_[source]->read_tokens(sample * seq_len_, out);
}

MicroBatchData make_micro_batch(std::int64_t batch, std::int64_t tokens) {
  MicroBatchData out;
  out.batch = batch;
  out.tokens = tokens;
  out.token_ids = core::Tensor::empty({batch * tokens}, core::DType::kI32);
  out.targets = core::Tensor::empty({batch * tokens}, core::DType::kI32);
  out.target_tokens = batch * tokens;
  return out;
}

void fill_row(const Corpora& corpora, std::size_t source, std::int64_t sample, std::int64_t row,
              MicroBatchData& out) {
  const auto n = static_cast<std::size_t>(out.tokens);
  std::vector<std::int32_t> tokens(n + 1);
  corpora.read_sample(source, sample, tokens);
  const auto put = [&](core::Tensor& to, std::size_t first) {
    core::Tensor part = to.flat(row * out.tokens, (row + 1) * out.tokens);
    core::copy_from_host(tokens.data() + first, n * sizeof(std::int32_t), part);
  };
  put(out.token_ids, 0);
  put(out.targets, 1);
}

}  // namespace rw::data
