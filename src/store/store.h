// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rw::store {

/// A file that is being written, in order of offsets or not. close() must be called; a destroyed
/// unclosed file is left as it is.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual void write_at(std::uint64_t offset,
                        std::span<const std::byte> bytes) = 0;  // all of it, or Error{kStorage}
  virtual void
  sync() = 0;  // fdatasync; after one failure every later call fails too (the file is poisoned)
  virtual void close() = 0;
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t bytes() const = 0;
  virtual void read_at(std::uint64_t offset, std::span<std::byte> out)
      const = 0;  // exactly out.size(), or Error{kDataMalformed}
};

/// A tree of files with the operations that commits need. Errors: Error{kStorage} with path,
/// operation and errno text; of a file to read Error{kDataMissing} when it is not there, and
/// Error{kDataMalformed} when it is a pipe, device or socket: open() never waits. Backends: posix,
/// uring, memory, faulty (wraps another and fails on cue).
class Store {
 public:
  virtual ~Store() = default;
  virtual std::unique_ptr<WritableFile> create(
      const std::string& path) = 0;  // fails if it exists (O_EXCL)
  virtual std::unique_ptr<ReadableFile> open(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual std::optional<std::uint64_t> file_bytes(
      const std::string& path) = 0;                                         // nullopt: not there
  virtual void rename(const std::string& from, const std::string& to) = 0;  // atomic, replaces
  virtual void sync_folder(const std::string& path) = 0;
  virtual void make_folders(
      const std::string& path) = 0;  // with those above it; they last once this returns
  virtual void remove(
      const std::string& path) = 0;  // a file or an empty folder; nothing there is fine
  /// Removes a file that create() made and whose writer died before it closed it; leaves any other.
  virtual void remove_abandoned(const std::string& path) = 0;
  virtual void remove_tree(const std::string& path) = 0;
  virtual std::vector<std::string> list(
      const std::string& folder) = 0;  // names, sorted; empty when there is no folder
  virtual std::uint64_t free_bytes(const std::string& path) = 0;
};

/// More than any file that is read whole has: models' configurations, tokenizers, recipes, manifests.
inline constexpr std::uint64_t kWholeFileBytes = std::uint64_t{1} << 28;

/// Whole-file helpers. read_whole: Error{kDataMalformed} with size and limit before a byte of a
/// longer file is read. write_whole: aside, sync, rename, folder sync: the file is there whole or
/// not at all.
std::string read_whole(Store& store, const std::string& path,
                       std::uint64_t max_bytes = kWholeFileBytes);
void write_whole(Store& store, const std::string& path, std::string_view bytes);

}  // namespace rw::store
