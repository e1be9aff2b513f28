// Part of Ropewalk, MIT licence.
#include "store/corpus_file_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/build.h"
#include "core/error.h"
#include "store/corpus_file_digest.h"
#include "store/corpus_file_output.h"
#include "store/corpus_spool.h"
#include "store/posix.h"
#include "store/sha256.h"

namespace rw::store {

using core::Error;
using core::ErrorKind;

namespace {

constexpr std::size_t kCopyBytes = 1 << 20;
constexpr std::size_t kHexDigits = 64;  // of SHA-256

}  // namespace

struct CorpusWriter::State {
  State(Store& where, const std::string& name) : store(where), path(name), spool(where, name) {}

  Store& store;
  std::string path;
  CorpusHeader header;
  CorpusInfo info;
  Spool spool;
  std::int64_t pending_tokens = 0;  // of the document that has not ended
  std::vector<std::uint64_t> offsets{0}, hashes;

  std::uint64_t ended_bytes() const {
    return static_cast<std::uint64_t>(info.tokens) * static_cast<std::uint64_t>(info.token_bytes);
  }

  template <class Stored>
  void append(std::span<const std::int32_t> ids) {
    std::byte* to = spool.extend(ids.size() * sizeof(Stored));
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= info.vocab_size) {
        throw Error(ErrorKind::kBug, fmt::format("{}: token id {} for a vocabulary of {}", path, id,
                                                 info.vocab_size));
      }
      const auto stored = static_cast<Stored>(id);
      std::memcpy(to, &stored, sizeof stored);
      to += sizeof stored;
    }
  }

  /// Copies the spooled tokens into `output`; hashes them on the way.
  void copy_tokens(hdf5::Output& output, Sha256& content) {
    const auto width = static_cast<std::size_t>(info.token_bytes);
    const auto dataset = output.array("/docs/tokens", width == 2 ? H5T_STD_U16LE : H5T_STD_U32LE,
                                      static_cast<std::size_t>(info.tokens));
    const std::size_t total = ended_bytes();
    std::vector<std::byte> piece(std::min(total, kCopyBytes));
    for (std::size_t at = 0; at < total;) {
      const std::span<std::byte> part(piece.data(), std::min(piece.size(), total - at));
      spool.read(at, part);
      content.update(std::span<const std::byte>(part));
      output.write(dataset, at / width, part.size() / width, part.data());
      at += part.size();
    }
  }

  void write_file(AsideFile& aside) {
    hdf5::Output output(store, aside, path);
    // First, with values to come: a file that lost them has lost everything else, and is no older one.
    output.text("attributes_sha256", std::string(kHexDigits, '0'));
    output.text("hash_sha256", std::string(kHexDigits, '0'));
    output.number("schema_version", kSchemaVersion);
    output.text("endian", kEndian);
    output.text("builder", info.builder);
    output.text("tokenizer_name", info.tokenizer_name);
    output.text("tokenizer_sha256", info.tokenizer_sha256);
    output.number("vocab_size", info.vocab_size);
    output.number("end_of_text", info.end_of_text);
    output.number("text_bytes", info.text_bytes);
    output.group("/docs");
    output.group("/tokenizer");
    Sha256 content, documents;
    copy_tokens(output, content);
    const auto fill = [&](const char* name, hid_t type, std::size_t count, const void* values) {
      output.write(output.array(name, type, count), 0, count, values);
    };
    fill("/docs/offsets", H5T_STD_U64LE, offsets.size(), offsets.data());
    fill("/docs/hash", H5T_STD_U64LE, hashes.size(), hashes.data());
    fill("/tokenizer/json", H5T_STD_U8LE, header.tokenizer_json.size(),
         header.tokenizer_json.data());
    content.update(std::as_bytes(std::span(offsets)));
    documents.update(std::as_bytes(std::span(hashes)));
    info.content_sha256 = content.finish_hex();
    info.hash_sha256 = documents.finish_hex();
    info.attributes_sha256 = attributes_digest(info);
    output.text("content_sha256", info.content_sha256);
    output.replace_text("hash_sha256", info.hash_sha256);
    output.replace_text("attributes_sha256", info.attributes_sha256);
    output.close();
  }
};

CorpusWriter::CorpusWriter(Store& store, const std::string& path, CorpusHeader header)
    : state_(std::make_unique<State>(store, path)) {
  State& s = *state_;
  s.header = std::move(header);
  s.info.vocab_size = s.header.vocab_size;
  s.info.token_bytes = s.header.vocab_size <= 65536 ? 2 : 4;
  s.info.end_of_text = s.header.end_of_text;
  s.info.builder = std::string("ropewalk ") + core::kVersion;
  s.info.tokenizer_name = s.header.tokenizer_name;
  s.info.tokenizer_sha256 = sha256_hex(s.header.tokenizer_json);
}

CorpusWriter::CorpusWriter(const std::string& path, CorpusHeader header)
    : CorpusWriter(make_posix(), path, std::move(header)) {}

CorpusWriter::CorpusWriter(std::unique_ptr<Store> own, const std::string& path, CorpusHeader header)
    : CorpusWriter(*own, path, std::move(header)) {
  own_ = std::move(own);
}

CorpusWriter::~CorpusWriter() = default;

void CorpusWriter::append(std::span<const std::int32_t> ids) {
  State& s = *state_;
  if (s.info.token_bytes == 2) {
    s.append<std::uint16_t>(ids);
  } else {
    s.append<std::uint32_t>(ids);
  }
  s.pending_tokens += static_cast<std::int64_t>(ids.size());
}

void CorpusWriter::end_document(std::uint64_t hash, std::int64_t text_bytes) {
  State& s = *state_;
  s.info.tokens += std::exchange(s.pending_tokens, 0);
  s.info.documents += 1;
  s.info.text_bytes += text_bytes;
  s.offsets.push_back(static_cast<std::uint64_t>(s.info.tokens));
  s.hashes.push_back(hash);
}

void CorpusWriter::drop_document() {
  state_->pending_tokens = 0;
  state_->spool.cut(state_->ended_bytes());
}

void CorpusWriter::give_document(CorpusWriter& other) {
  State& s = *state_;
  std::vector<std::byte> piece(kCopyBytes);
  const std::uint64_t end = s.spool.bytes();
  for (std::uint64_t at = s.ended_bytes(); at < end;) {
    const std::span<std::byte> part(piece.data(), std::min<std::uint64_t>(piece.size(), end - at));
    s.spool.read(at, part);
    std::memcpy(other.state_->spool.extend(part.size()), part.data(), part.size());
    at += part.size();
  }
  other.state_->pending_tokens += s.pending_tokens;
  drop_document();
}

void CorpusWriter::add(std::span<const std::int32_t> ids, std::uint64_t hash,
                       std::int64_t text_bytes) {
  append(ids);
  end_document(hash, text_bytes);
}

std::int64_t CorpusWriter::documents() const { return state_->info.documents; }

CorpusInfo CorpusWriter::finish() {
  State& s = *state_;
  if (s.info.documents == 0) throw Error(ErrorKind::kBug, s.path + ": a corpus without documents");
  AsideFile aside(s.store, s.path);
  s.write_file(aside);
  aside.commit();
  return s.info;
}

}  // namespace rw::store
