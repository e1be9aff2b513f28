// Part of Ropewalk, MIT licence.
#include "data/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <system_error>
#include <thread>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "store/corpus_file_writer.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;

namespace {

constexpr std::size_t kBatchDocuments = 16384;
constexpr std::size_t kMostUncutBytes = std::size_t{1} << 28;

/// A document on its way from the file to the corpus.
struct Item {
  RawDocument raw;
  std::vector<std::int32_t> ids;
  std::uint64_t hash = 0;
  store::DocumentKey key;
  std::int64_t text_bytes = 0, replaced = 0;
  std::string skipped;  // why
  std::exception_ptr error;
};

/// The end of a long document's text, and how much of it was there when it was last looked at.
struct Unencoded {
  std::string text;
  std::size_t tried = 0;
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
    TextSource source(std::move(files), options_.text);
    std::vector<Item> batch;
    std::size_t bytes = 0;
    while (auto document = source.next()) {
      std::vector<RawDocument> pieces;
      const std::size_t length = take_pieces(source, std::move(*document), pieces);
      if (pieces.back().more) {
        flush(batch);
        bytes = 0;
        add_long(source, std::move(pieces));
        continue;
      }
      bytes += length;
      batch.emplace_back();
      const bool endless = pieces.back().too_long;  // refused before more is read
      batch.back().raw = joined(std::move(pieces));
      if (!endless && bytes < options_.batch_bytes && batch.size() < kBatchDocuments) continue;
      flush(batch);
      bytes = 0;
    }
    flush(batch);
    finish();
    return report_;
  }

 private:
  /// The pieces of a document up to a batch's size; returns their size.
  std::size_t take_pieces(TextSource& source, RawDocument first,
                          std::vector<RawDocument>& pieces) const {
    std::size_t bytes = first.bytes.size();
    pieces.push_back(std::move(first));
    while (pieces.back().more && bytes < options_.batch_bytes) {
      pieces.push_back(*source.next());
      bytes += pieces.back().bytes.size();
    }
    return bytes;
  }

  static RawDocument joined(std::vector<RawDocument> pieces) {
    RawDocument whole = std::move(pieces.front());
    for (std::size_t i = 1; i < pieces.size(); ++i) whole.bytes += pieces[i].bytes;
    return whole;
  }

  void encode(Item& item) const {
    try {
      const bool line = item.raw.line > 0;
      std::string text;
      try {
        text = document_text(std::move(item.raw), options_.text, item.replaced);
      } catch (const Error& error) {
        if (!line || !options_.skip_bad_lines) throw;
        item.skipped = error.what();
        return;
      }
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
    std::vector<std::jthread> helpers;
    try {
      for (std::size_t i = 1; i < std::min(wanted, batch.size()); ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {  // no further thread: those that are there do it all
    }
    work();
    helpers.clear();
    for (Item& item : batch) add(item);
    batch.clear();
  }

  void add(const Item& item) {
    if (item.error) std::rethrow_exception(item.error);
    if (!item.skipped.empty()) {
      if (report_.skipped_lines++ == 0) report_.first_skipped = item.skipped;
      return;
    }
    report_.replaced += item.replaced;
    text_bytes_ += item.text_bytes;
    if (is_duplicate(item.key)) return;
    (is_aside(item.hash) ? validation_ : corpus_)->add(item.ids, item.hash, item.text_bytes);
  }

  bool is_duplicate(const store::DocumentKey& key) {
    if (!options_.deduplicate || seen_.insert(key).second) return false;
    ++report_.duplicates;
    return true;
  }

  bool is_aside(std::uint64_t hash) const {
    return validation_ && is_validation(hash, options_.validation_share);
  }

  /// A document of which these are the first pieces: encoded as it comes.
  void add_long(TextSource& source, std::vector<RawDocument> first) {
    store::DocumentHasher hasher;
    std::int64_t text_bytes = 0;
    Unencoded rest;
    const auto add_piece = [&](RawDocument piece) {
      const bool more = piece.more;
      const std::string path = piece.path;
      const std::string part = document_text(std::move(piece), options_.text, report_.replaced);
      hasher.update(part);
      text_bytes += static_cast<std::int64_t>(part.size());
      rest.text += part;
      encode_piece(rest, more);
      if (rest.text.size() > kMostUncutBytes) refuse_uncut(path);
      return more;
    };
    for (RawDocument& piece : first) add_piece(std::exchange(piece, {}));
    while (add_piece(*source.next())) {
    }
    text_bytes_ += text_bytes;
    if (is_duplicate(hasher.key())) return corpus_->drop_document();
    const bool aside = is_aside(hasher.hash());
    if (aside) corpus_->give_document(*validation_);
    (aside ? validation_ : corpus_)->end_document(hasher.hash(), text_bytes);
  }

  /// Hands on the ids that are certain; with the last piece all of them.
  void encode_piece(Unencoded& rest, bool more) {
    std::vector<std::int32_t> ids;
    if (!more) {
      ids = tokenizer_.encode(rest.text);
      ids.push_back(options_.end_token);
    } else if (rest.text.size() >= 2 * rest.tried) {
      rest.text.erase(0, tokenizer_.encode_front(rest.text, ids));
      rest.tried = rest.text.size();
    }
    corpus_->append(ids);
  }

  [[noreturn]] static void refuse_uncut(const std::string& path) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: a stretch of more than {} bytes in which this tokenizer parts no "
                            "words; split the text into smaller documents",
                            path, kMostUncutBytes));
  }

  void finish() {
    if (text_bytes_ == 0) {
      throw Error(ErrorKind::kDataMissing,
                  fmt::format("{}: no text in {} files ({} lines skipped); nothing was written",
                              options_.files.empty() ? "data build" : options_.files.front(),
                              report_.files, report_.skipped_lines));
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
