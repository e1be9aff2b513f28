// Part of Ropewalk, MIT licence.
#include "store/corpus_file_digest.h"

#include <fmt/format.h>

#include "store/sha256.h"

namespace rw::store {

std::string attributes_digest(const CorpusInfo& info) {
  Sha256 hash;
  const auto add = [&](const char* name, const std::string& value) {
    hash.update(fmt::format("{} {} {}\n", name, value.size(), value));
  };
  add("schema_version", std::to_string(kSchemaVersion));
  add("endian", kEndian);
  add("builder", info.builder);
  add("tokenizer_name", info.tokenizer_name);
  add("tokenizer_sha256", info.tokenizer_sha256);
  add("vocab_size", std::to_string(info.vocab_size));
  add("end_of_text", std::to_string(info.end_of_text));
  add("text_bytes", std::to_string(info.text_bytes));
  add("content_sha256", info.content_sha256);
  add("hash_sha256", info.hash_sha256);
  add("tokens", std::to_string(info.tokens));
  add("documents", std::to_string(info.documents));
  return hash.finish_hex();
}

}  // namespace rw::store
