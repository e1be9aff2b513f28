// Part of Ropewalk, MIT licence.
#include "metrics/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "core/error.h"

namespace rw::metrics {
namespace {

constexpr std::int64_t kMostTextBytes = std::int64_t{1} << 32;

[[noreturn]] void fail(const std::string& path, const char* operation, int error_number) {
  throw core::Error(core::ErrorKind::kStorage,
                    fmt::format("{}: {}: {}; want a writable path with room on the disk", path,
                                operation, core::errno_text(error_number)));
}

[[noreturn]] void fail_reading(const std::string& path, int error_number) {
  throw core::Error(core::ErrorKind::kStorage,
                    fmt::format("{}: read: {}; want a file that can be read", path,
                                core::errno_text(error_number)));
}

int open_flags(AppendFile::Start start) {
  switch (start) {
    case AppendFile::Start::kEmpty:
      return O_TRUNC;
    case AppendFile::Start::kMustBeNew:
      return O_EXCL;
    case AppendFile::Start::kAtEnd:
      break;
  }
  return 0;
}

}  // namespace

AppendFile::AppendFile(std::string path, Start start) : path_(std::move(path)) {
  const auto folder = std::filesystem::path(path_).parent_path();
  std::error_code code;
  if (!folder.empty()) std::filesystem::create_directories(folder, code);
  if (code) fail(folder.string(), "make folder", code.value());
  // A link that someone else put there is not followed, and a pipe without a reader not waited for.
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  handle_ =
      ::open(path_.c_str(), kFlags | open_flags(start), S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
  if (handle_ < 0) fail(path_, "open", errno);
  struct stat status {};
  if (::fstat(handle_, &status) == 0 && S_ISREG(status.st_mode)) return;
  ::close(handle_);
  fail(path_, "open, a pipe or a device", EINVAL);
}

AppendFile::~AppendFile() { ::close(handle_); }

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto done = ::write(handle_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(path_, "write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
}

void AppendFile::sync() {
  if (::fdatasync(handle_) != 0) fail(path_, "fdatasync", errno);
}

std::string read_text(const std::string& path) {
  const int handle = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (handle < 0 && errno == ENOENT) return {};
  if (handle < 0) fail_reading(path, errno);
  struct stat status {};
  if (::fstat(handle, &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size > kMostTextBytes) {
    ::close(handle);
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("{}: got a folder, pipe or device, or {} bytes; want a regular "
                                  "file of at most {}",
                                  path, status.st_size, kMostTextBytes));
  }
  std::string text;
  std::array<char, 65536> part{};
  while (true) {
    const auto got = ::read(handle, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    const int error_number = errno;
    if (got <= 0) ::close(handle);
    if (got < 0) fail_reading(path, error_number);
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace rw::metrics
