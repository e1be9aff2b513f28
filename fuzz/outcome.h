// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/error.h"

namespace rw::fuzz {

/// Runs `body`, which takes an input in. Bad input may end it with any core::Error but a bug; all
/// else (another exception, a signal, a sanitizer's finding) is what libFuzzer is looking for.
template <class Body>
int taken_or_refused(Body&& body) {
  try {
    body();
  } catch (const core::Error& error) {
    if (error.kind() == core::ErrorKind::kBug) {
      std::fprintf(stderr, "called a bug: %s\n", error.what());
      std::abort();
    }
  }
  return 0;
}

inline std::string text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A file of this process alone, for parsers that want a path; gone with the process.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& name) {
    std::string folder = (std::filesystem::temp_directory_path() / "ropewalk-fuzz-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    path_ = folder + "/" + name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }
  void put(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

 private:
  std::string folder_, path_;
};

}  // namespace rw::fuzz
