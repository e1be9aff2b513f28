// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

namespace rw::store {

/// XXH3, 64 bits, of a document's text.
std::uint64_t hash_document(std::string_view text);

/// XXH3, 128 bits: equal only for equal texts, for any number of documents that fits on a disk.
struct DocumentKey {
  std::uint64_t low = 0, high = 0;
  bool operator==(const DocumentKey&) const = default;
};
DocumentKey document_key(std::string_view text);

/// Both of a text that comes in pieces.
class DocumentHasher {
 public:
  DocumentHasher();
  ~DocumentHasher();
  DocumentHasher(const DocumentHasher&) = delete;
  DocumentHasher& operator=(const DocumentHasher&) = delete;
  void update(std::string_view text);
  std::uint64_t hash() const;
  DocumentKey key() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rw::store
