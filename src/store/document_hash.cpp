// Part of Ropewalk, MIT licence.
#include "store/document_hash.h"

#include <xxhash.h>

#include <new>

#include "core/handle.h"

namespace rw::store {
namespace {

struct HasherPolicy {
  using Native = XXH3_state_t*;
  static Native none() { return nullptr; }
  static void close(Native state) noexcept { XXH3_freeState(state); }
};
using Hasher = core::Handle<HasherPolicy>;

}  // namespace

std::uint64_t hash_document(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

DocumentKey document_key(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

struct DocumentHasher::State {
  Hasher narrow{XXH3_createState()}, wide{XXH3_createState()};
};

DocumentHasher::DocumentHasher() : state_(std::make_unique<State>()) {
  if (state_->narrow.get() == nullptr || state_->wide.get() == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(state_->narrow.get());
  XXH3_128bits_reset(state_->wide.get());
}

DocumentHasher::~DocumentHasher() = default;

void DocumentHasher::update(std::string_view text) {
  XXH3_64bits_update(state_->narrow.get(), text.data(), text.size());
  XXH3_128bits_update(state_->wide.get(), text.data(), text.size());
}

std::uint64_t DocumentHasher::hash() const { return XXH3_64bits_digest(state_->narrow.get()); }

DocumentKey DocumentHasher::key() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->wide.get());
  return {hash.low64, hash.high64};
}

}  // namespace rw::store
