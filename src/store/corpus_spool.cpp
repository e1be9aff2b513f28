// Part of Ropewalk, MIT licence.
#include "store/corpus_spool.h"

namespace rw::store {
namespace {
constexpr std::size_t kBufferBytes = 1 << 20;
}  // namespace

Spool::Spool(Store& store, const std::string& path)
    : aside_(std::make_unique<AsideFile>(store, path)), reader_(store.open(aside_->name())) {
  store.remove(aside_->name());
}

std::byte* Spool::extend(std::size_t count) {
  if (buffer_.size() >= kBufferBytes) flush();
  const std::size_t at = buffer_.size();
  buffer_.resize(at + count);
  return buffer_.data() + at;
}

void Spool::cut(std::uint64_t bytes) {
  if (bytes >= written_) {
    buffer_.resize(bytes - written_);
  } else {
    buffer_.clear();
    written_ = bytes;  // later bytes go over those in the file
  }
}

void Spool::read(std::uint64_t at, std::span<std::byte> out) {
  if (at + out.size() > written_) flush();
  reader_->read_at(at, out);
}

void Spool::flush() {
  aside_->file().write_at(written_, buffer_);
  written_ += buffer_.size();
  buffer_.clear();
}

}  // namespace rw::store
