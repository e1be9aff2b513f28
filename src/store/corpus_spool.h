// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/aside.h"

namespace rw::store {

/// Bytes that wait on the disk beside `path` until they are read back: a file without a name, so
/// that nothing is left of it however the process ends. Written through a buffer.
class Spool {
 public:
  Spool(Store& store, const std::string& path);
  std::uint64_t bytes() const { return written_ + buffer_.size(); }
  /// `count` more bytes to fill in; they must be filled before the next call.
  std::byte* extend(std::size_t count);
  /// Forgets all bytes from `bytes` on.
  void cut(std::uint64_t bytes);
  /// Fills `out` from byte `at` on; all of it must be there.
  void read(std::uint64_t at, std::span<std::byte> out);

 private:
  void flush();
  std::unique_ptr<AsideFile> aside_;
  std::unique_ptr<ReadableFile> reader_;
  std::uint64_t written_ = 0;  // in the file
  std::vector<std::byte> buffer_;
};

}  // namespace rw::store
