// Part of Ropewalk, MIT licence.
#include "store/aside.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/random_name.h"

namespace rw::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = ".part-";
constexpr std::size_t kRandomDigits = 16;

std::string folder_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

/// Whether `name` is one that an AsideFile for `target` may have had.
bool is_aside(const std::string& name, const std::string& target) {
  const std::string front = target + kMark;
  if (name.size() != front.size() + kRandomDigits || name.rfind(front, 0) != 0) return false;
  return name.find_first_not_of("0123456789abcdef", front.size()) == std::string::npos;
}

/// Never a reason to fail: what cannot be removed is in nobody's way.
void remove_left_behind(Store& store, const std::string& path) {
  try {
    const std::string target = fs::path(path).filename().string();
    for (const std::string& name : store.list(folder_of(path))) {
      if (!is_aside(name, target)) continue;
      store.remove_abandoned((fs::path(path).parent_path() / name).string());
    }
  } catch (const core::Error&) {
  }
}

}  // namespace

AsideFile::AsideFile(Store& store, const std::string& path)
    : store_(store), path_(path), name_(path + kMark + core::random_name()) {
  remove_left_behind(store, path);
  file_ = store.create(name_);
}

AsideFile::~AsideFile() {
  if (file_ == nullptr) return;
  file_.reset();
  try {
    store_.remove(name_);
  } catch (...) {  // what made us stop is already on its way
  }
}

void AsideFile::commit() {
  file_->sync();
  file_->close();
  store_.rename(name_, path_);
  file_.reset();
  store_.sync_folder(folder_of(path_));
}

}  // namespace rw::store
