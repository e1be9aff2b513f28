// Part of Ropewalk, MIT licence.
#include "metrics/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/handle.h"

namespace rw::metrics {
namespace {

constexpr std::size_t kMostLineBytes = std::size_t{64} << 20;

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

struct DescriptorPolicy {
  using Native = int;
  static int none() { return -1; }
  static void close(int descriptor) noexcept { ::close(descriptor); }
};

/// Hands over a file's bytes piece by piece; nothing when there is no file.
void read_pieces(const std::string& path, std::int64_t most_bytes,
                 const std::function<void(std::string_view)>& take) {
  const int handle = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (handle < 0 && errno == ENOENT) return;
  if (handle < 0) fail_reading(path, errno);
  const core::Handle<DescriptorPolicy> closing(handle);
  struct stat status {};
  if (::fstat(handle, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > most_bytes) {
    throw core::Error(core::ErrorKind::kDataMalformed,
                      fmt::format("{}: got a folder, pipe or device, or {} bytes; want a regular "
                                  "file of at most {}",
                                  path, status.st_size, most_bytes));
  }
  std::array<char, 65536> part{};
  while (true) {
    const auto got = ::read(handle, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_reading(path, errno);
    if (got == 0) return;
    take({part.data(), static_cast<std::size_t>(got)});
  }
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

std::string read_text(const std::string& path, std::int64_t most_bytes) {
  std::string text;
  read_pieces(path, most_bytes, [&](std::string_view piece) { text.append(piece); });
  return text;
}

void read_lines(
    const std::string& path,
    const std::function<void(std::int64_t number, std::string_view line, LineEnd end)>& take) {
  std::int64_t number = 0;
  std::string begun;
  read_pieces(path, std::numeric_limits<std::int64_t>::max(), [&](std::string_view piece) {
    for (auto end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
      begun.append(piece.substr(0, end));
      take(++number, begun, LineEnd::kThere);
      begun.clear();
      piece.remove_prefix(end + 1);
    }
    begun.append(piece);
    if (begun.size() > kMostLineBytes) {
      throw core::Error(
          core::ErrorKind::kDataMalformed,
          fmt::format("{}:{}: got a line of more than {} bytes, want a record of a run", path,
                      number + 1, kMostLineBytes));
    }
  });
  if (!begun.empty()) take(number + 1, begun, LineEnd::kTorn);
}

}  // namespace rw::metrics
