// Part of Ropewalk, MIT licence.
#include "store/posix.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "store/aside.h"
#include "store/failure.h"
#include "store/regular_file.h"

namespace rw::store {
namespace {

namespace fs = std::filesystem;
using core::Error;
using core::ErrorKind;

Descriptor open_descriptor(const std::string& path, int flags) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  return Descriptor(::open(path.c_str(), flags | O_CLOEXEC, 0644));
}

class PosixWritable final : public WritableFile {
 public:
  PosixWritable(std::string path, Descriptor descriptor)
      : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    require_healthy();
    while (!bytes.empty()) {
      const ssize_t done =
          ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) poison("write", done < 0 ? errno : ENOSPC);
      offset += static_cast<std::uint64_t>(done);
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
  }

  void sync() override {
    require_healthy();
    if (::fdatasync(descriptor_.get()) != 0) poison("fdatasync", errno);
  }

  void close() override {
    require_healthy();
    const int raw = ::dup(descriptor_.get());  // close() of the copy reports late write errors
    descriptor_ = Descriptor();
    if (raw < 0 || ::close(raw) != 0) poison("close", errno);
    healthy_ = false;
    reason_ = "the file is closed";
  }

 private:
  void require_healthy() const {
    if (!healthy_) throw Error(ErrorKind::kStorage, path_ + ": " + reason_);
  }
  [[noreturn]] void poison(const char* operation, int error_number) {
    healthy_ = false;
    reason_ = fmt::format("an earlier {} failed: {}", operation, core::errno_text(error_number));
    fail_storage(path_, operation, error_number);
  }

  std::string path_;
  Descriptor descriptor_;
  bool healthy_ = true;
  std::string reason_;
};

class PosixReadable final : public ReadableFile {
 public:
  explicit PosixReadable(const std::string& path) : path_(path), file_(open_regular(path)) {}
  std::uint64_t bytes() const override { return file_.bytes; }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t done =
          ::pread(file_.descriptor.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail_storage(path_, "read", errno);
      if (done == 0) {
        throw Error(ErrorKind::kDataMalformed,
                    fmt::format("{}: the file ends at byte {}, want {} more bytes from byte {}",
                                path_, file_.bytes, out.size(), offset));
      }
      offset += static_cast<std::uint64_t>(done);
      out = out.subspan(static_cast<std::size_t>(done));
    }
  }

 private:
  std::string path_;
  RegularFile file_;
};

/// Taken by whoever makes a file, and held until it is closed. False: another one holds it. Where a
/// file system has no such locks nobody holds any.
bool lock_for_writing(const Descriptor& descriptor) {
  return ::flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

class Posix final : public Store {
 public:
  std::unique_ptr<WritableFile> create(const std::string& path) override {
    Descriptor descriptor = open_descriptor(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    if (descriptor.get() < 0) fail_storage(path, "create", errno);
    struct stat status {};
    const bool gone = ::fstat(descriptor.get(), &status) == 0 && status.st_nlink == 0;
    if (!lock_for_writing(descriptor) || gone) fail_storage(path, "create", EBUSY);
    return std::make_unique<PosixWritable>(path, std::move(descriptor));
  }

  std::unique_ptr<ReadableFile> open(const std::string& path) override {
    return std::make_unique<PosixReadable>(path);
  }

  bool exists(const std::string& path) override {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
  }

  std::optional<std::uint64_t> file_bytes(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    return static_cast<std::uint64_t>(status.st_size);
  }

  void rename(const std::string& from, const std::string& to) override {
    struct stat status {};
    const bool there = ::lstat(to.c_str(), &status) == 0;
    if (there && (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) || S_ISFIFO(status.st_mode) ||
                  S_ISSOCK(status.st_mode))) {
      throw Error(ErrorKind::kStorage,
                  fmt::format("{}: is {}, which a file would replace; want the name of a file", to,
                              file_type_name(status.st_mode)));
    }
    if (::rename(from.c_str(), to.c_str()) != 0) fail_storage(from, "rename to " + to, errno);
  }

  void sync_folder(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY);
    if (descriptor.get() < 0) fail_storage(path, "open the folder", errno);
    // Some file systems cannot sync a folder and say EINVAL: they keep names in order by themselves.
    if (::fsync(descriptor.get()) != 0 && errno != EINVAL) fail_storage(path, "fsync", errno);
  }

  void make_folders(const std::string& path) override {
    std::vector<fs::path> made;  // deepest first
    fs::path at = fs::path(path).lexically_normal();
    if (!at.has_filename()) at = at.parent_path();  // "a/b/" is "a/b"
    std::error_code code;
    for (; !at.empty() && !fs::exists(at, code) && !code; at = at.parent_path()) made.push_back(at);
    fs::create_directories(path, code);
    if (code) fail_storage(path, "make the folder", code.value());
    for (const fs::path& one : made) {
      const auto parent = one.parent_path().string();
      sync_folder(parent.empty() ? "." : parent);
    }
  }

  void remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0 && errno != ENOENT) fail_storage(path, "remove", errno);
  }

  void remove_abandoned(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    if (descriptor.get() < 0 || ::fstat(descriptor.get(), &status) != 0) return;
    if (S_ISREG(status.st_mode) && ::flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0) {
      ::unlink(path.c_str());
    }
  }

  void remove_tree(const std::string& path) override {
    std::error_code code;
    fs::remove_all(path, code);
    if (code) fail_storage(path, "remove the tree", code.value());
  }

  std::vector<std::string> list(const std::string& folder) override {
    std::vector<std::string> names;
    std::error_code code;
    for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
      names.push_back(at->path().filename().string());
    }
    if (code && code != std::errc::no_such_file_or_directory)
      fail_storage(folder, "list", code.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  std::uint64_t free_bytes(const std::string& path) override {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0) fail_storage(path, "statvfs", errno);
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  }
};

}  // namespace

std::unique_ptr<Store> make_posix() { return std::make_unique<Posix>(); }

std::string read_whole(Store& store, const std::string& path, std::uint64_t max_bytes) {
  const auto file = store.open(path);
  if (file->bytes() > max_bytes) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: got a file of {} bytes, want at most {}; is it the right file?",
                            path, file->bytes(), max_bytes));
  }
  std::string out(file->bytes(), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(out)));
  return out;
}

void write_whole(Store& store, const std::string& path, std::string_view bytes) {
  AsideFile aside(store, path);
  aside.file().write_at(0, std::as_bytes(std::span(bytes)));
  aside.commit();
}

}  // namespace rw::store
