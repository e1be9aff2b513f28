// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

namespace rw::data {

/// The bytes of a regular file from its first to its last; gzip is unpacked: every member, with zero
/// bytes between and behind them passed over. Holds a small piece at a time.
class UnpackedFile {
 public:
  /// Throws as Store::open.
  explicit UnpackedFile(const std::string& path);
  ~UnpackedFile();
  UnpackedFile(const UnpackedFile&) = delete;
  UnpackedFile& operator=(const UnpackedFile&) = delete;

  /// Appends the next piece, at least a byte, to `to`; false at the end. Throws
  /// Error{kDataMalformed} with file and byte offset (in the file as it lies) for gzip that is cut,
  /// damaged, or has something else behind a member.
  bool read(std::string& to);
  bool is_gzip() const { return inflater_ != nullptr; }

 private:
  struct Inflater;
  bool fill();
  bool read_gzip(std::string& to);
  bool skip_padding();
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_;
  std::unique_ptr<store::ReadableFile> file_;
  std::uint64_t read_ = 0;        // of the file
  std::vector<std::byte> input_;  // the piece of the file that was read last
  std::size_t used_ = 0;          // of input_
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace rw::data
