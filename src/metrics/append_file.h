// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <string_view>

namespace rw::metrics {

/// A file that only grows. Each append is one write(2) where the system allows it, so that a reader
/// or a killed process sees whole appends but for at most the last one.
class AppendFile {
 public:
  enum class Start {
    kEmpty,     // made or emptied
    kAtEnd,     // made or continued
    kMustBeNew  // made; it is an error when it is there
  };
  /// Folders on the way are made; a symbolic link at `path` is not followed. Throws Error{kStorage}
  /// with path and errno text.
  AppendFile(std::string path, Start start);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();
  /// Throws Error{kStorage}.
  void append(std::string_view bytes);
  void sync();  // fdatasync; throws Error{kStorage}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int handle_ = -1;
};

/// The whole file, or "" when there is none. Never waits. Throws Error{kStorage};
/// Error{kDataMalformed} for what is no regular file, or longer than any record of a run.
std::string read_text(const std::string& path);

}  // namespace rw::metrics
