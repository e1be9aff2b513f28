// Part of Ropewalk, MIT licence.
#pragma once
#include <memory>
#include <string>

#include "store/store.h"

namespace rw::store {

/// A file on its way to `path`: made beside it, exclusively, under a name that nobody can foresee
/// ("<path>.part-<16 hex digits>"), so that no link planted there is followed. What dead processes
/// left on the way to the same path is removed first. Gone with the object unless committed. The
/// store outlives it.
class AsideFile {
 public:
  AsideFile(Store& store, const std::string& path);
  ~AsideFile();
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  WritableFile& file() { return *file_; }
  const std::string& name() const { return name_; }
  /// Syncs it, closes it, renames it to `path` (replacing) and syncs the folder: whole or not at all.
  void commit();

 private:
  Store& store_;
  std::string path_, name_;
  std::unique_ptr<WritableFile> file_;  // null: committed
};

}  // namespace rw::store
