// Part of Ropewalk, MIT licence.
#include "store/regular_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"
#include "store/failure.h"

namespace rw::store {
namespace {

using core::Error;
using core::ErrorKind;

[[noreturn]] void refuse_type(const std::string& path, unsigned mode) {
  throw Error(S_ISDIR(mode) ? ErrorKind::kDataMissing : ErrorKind::kDataMalformed,
              fmt::format("{}: got {}, want a regular file", path, file_type_name(mode)));
}

[[noreturn]] void fail_open(const std::string& path, int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      throw Error(ErrorKind::kDataMissing, path + ": no such file");
    case ENXIO:  // a socket, or a device that nothing drives
      throw Error(ErrorKind::kDataMalformed,
                  path + ": got a socket or a device, want a regular file");
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
    case EOVERFLOW:
      throw Error(ErrorKind::kDataMissing,
                  fmt::format("{}: cannot be opened: {}", path, core::errno_text(error_number)));
    default:
      fail_storage(path, "open", error_number);
  }
}

}  // namespace

void DescriptorPolicy::close(int descriptor) noexcept { ::close(descriptor); }

const char* file_type_name(unsigned mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a regular file";
    case S_IFDIR:
      return "a folder";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFLNK:
      return "a symbolic link";
    default:
      return "a device";
  }
}

RegularFile open_regular(const std::string& path) {
  struct stat status {};
  // A device may act on being opened; stat() leaves it alone. What stands there a moment later is
  // looked at again.
  if (::stat(path.c_str(), &status) != 0) fail_open(path, errno);
  if (!S_ISREG(status.st_mode)) refuse_type(path, status.st_mode);
  RegularFile out;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  out.descriptor = Descriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (out.descriptor.get() < 0) fail_open(path, errno);
  if (::fstat(out.descriptor.get(), &status) != 0) fail_storage(path, "fstat", errno);
  if (!S_ISREG(status.st_mode)) refuse_type(path, status.st_mode);
  out.bytes = static_cast<std::uint64_t>(status.st_size);
  return out;
}

}  // namespace rw::store
