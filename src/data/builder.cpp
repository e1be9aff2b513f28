// Part of Ropewalk, MIT licence.
#include "data/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <thread>
#include <unordered_set>

#include "core/error.h"
#include "store/corpus_file_writer.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;

namespace {

constexpr std::size_t kBatchBytes = 32 << 20;
constexpr std::size_t kBatchDocuments = 16384;

/// A document on its way from the file to the corpus.
struct Item {
  RawDocument raw;
  std::vector<std::int32_t> ids;
  std::uint64_t hash = 0;
  store::DocumentKey key;
  std::int64_t text_bytes = 0, replaced = 0;
  std::exception_ptr error;
};

struct KeyHash {
  std::size_t operator()(const store::DocumentKey& key) const {
    return static_cast<std::size_t>(key.low);
  }
};

class Builder {
 public:
  Builder(const Tokenizer& tokenizer, const BuildOptions& options)
      : tokenizer_(tokenizer), options_(options) {
    const store::CorpusHeader header{tokenizer.vocab_size(), options.end_token,
                                     options.tokenizer_name, tokenizer.json()};
    report_.validation_path = validation_path(options.out);
    if (options.validation_share > 0) {
      validation_ = std::make_unique<store::CorpusWriter>(report_.validation_path, header);
    }
    corpus_ = std::make_unique<store::CorpusWriter>(options.out, header);
  }

  BuildReport run() {
    auto files = list_text_files(options_.files, {options_.out, report_.validation_path});
    report_.files = static_cast<std::int64_t>(files.size());
    TextSource source(std::move(files));
    std::vector<Item> batch;
    std::size_t bytes = 0;
    while (auto document = source.next()) {
      bytes += document->bytes.size();
      batch.emplace_back();
      batch.back().raw = std::move(*document);
      if (bytes < kBatchBytes && batch.size() < kBatchDocuments) continue;
      flush(batch);
      bytes = 0;
    }
    flush(batch);
    finish();
    return report_;
  }

 private:
  void encode(Item& item) const {
    try {
      const std::string text = document_text(std::move(item.raw), options_.text, item.replaced);
      item.hash = store::hash_document(text);
      if (options_.deduplicate) item.key = store::document_key(text);
      item.text_bytes = static_cast<std::int64_t>(text.size());
      item.ids = tokenizer_.encode(text);
      item.ids.push_back(options_.end_token);
    } catch (...) {
      item.error = std::current_exception();  // the first one in the order of documents counts
    }
  }

  void flush(std::vector<Item>& batch) {
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < batch.size(); i = next++) encode(batch[i]);
    };
    const auto wanted = static_cast<std::size_t>(std::max(1, options_.threads));
    std::vector<std::thread> helpers;
    for (std::size_t i = 1; i < std::min(wanted, batch.size()); ++i) helpers.emplace_back(work);
    work();
    for (auto& helper : helpers) helper.join();
    for (Item& item : batch) add(item);
    batch.clear();
  }

  void add(const Item& item) {
    if (item.error) std::rethrow_exception(item.error);
    report_.replaced += item.replaced;
    text_bytes_ += item.text_bytes;
    if (options_.deduplicate && !seen_.insert(item.key).second) {
      ++report_.duplicates;
      return;
    }
    const bool aside = validation_ && is_validation(item.hash, options_.validation_share);
    (aside ? validation_ : corpus_)->add(item.ids, item.hash, item.text_bytes);
  }

  void finish() {
    if (text_bytes_ == 0) {
      throw Error(ErrorKind::kDataMissing,
                  fmt::format("{}: no text in {} files; nothing was written",
                              options_.files.empty() ? "data build" : options_.files.front(),
                              report_.files));
    }
    if (validation_ && (validation_->documents() == 0 || corpus_->documents() == 0)) {
      throw Error(
          ErrorKind::kUsage,
          fmt::format("--validation-share {}: of {} documents {} would be set aside, want "
                      "at least one on either side; give more documents (a text file is "
                      "one), or another share",
                      options_.validation_share, validation_->documents() + corpus_->documents(),
                      validation_->documents()));
    }
    if (validation_) report_.validation = validation_->finish();
    report_.corpus = corpus_->finish();
  }

  const Tokenizer& tokenizer_;
  const BuildOptions& options_;
  std::unique_ptr<store::CorpusWriter> corpus_, validation_;
  std::unordered_set<store::DocumentKey, KeyHash> seen_;
  std::int64_t text_bytes_ = 0;
  BuildReport report_;
};

}  // namespace

BuildReport build_corpus(const Tokenizer& tokenizer, const BuildOptions& options) {
  for (const auto& file : options.files) {
    std::error_code ignored;
    if (std::filesystem::equivalent(file, options.out, ignored)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--out {} is also an input; want another name", options.out));
    }
  }
  return Builder(tokenizer, options).run();
}

std::string validation_path(const std::string& out) {
  const std::filesystem::path path(out);
  return (path.parent_path() / (path.stem().string() + ".validation" + path.extension().string()))
      .string();
}

bool is_validation(std::uint64_t hash, double share) {
  return static_cast<double>(hash >> 11) * 0x1p-53 < share;
}

}  // namespace rw::data
