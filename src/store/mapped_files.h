// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <string>

namespace rw::store {

/// While it lives, a read of `bytes` mapped at `address` that finds no file there any more (someone
/// made the file shorter, or its disk failed: SIGBUS) ends the process with 65 and a message that
/// names `path`, instead of a signal that says nothing. Thread-safe. SIGBUS
/// is handled from the first one on; other causes of that signal do what they did before.
class MappedFile {
 public:
  MappedFile(const std::string& path, const void* address, std::size_t bytes);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

 private:
  std::size_t slot_;
};

}  // namespace rw::store
