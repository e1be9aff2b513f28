// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
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
/// Error{kDataMalformed} for what is no regular file, or longer than that.
std::string read_text(const std::string& path, std::int64_t most_bytes = std::int64_t{1} << 32);
enum class LineEnd { kThere, kTorn };
/// Hands over a file's lines one by one, numbered from 1, without their newlines; the last one may be
/// torn. The file may be of any length, a line not: Error{kDataMalformed}. Otherwise as read_text.
void read_lines(
    const std::string& path,
    const std::function<void(std::int64_t number, std::string_view line, LineEnd end)>& take);

}  // namespace rw::metrics
