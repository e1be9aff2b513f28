// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/store.h"

namespace rw::store {

/// The process died at this point. No core::Error: nothing that handles errors handles it.
class Crash final : public std::exception {
 public:
  const char* what() const noexcept override { return "the process died here (faulty store)"; }
};

enum class Call {
  kCreate,
  kWrite,
  kSync,
  kClose,
  kOpen,
  kRead,
  kRename,
  kSyncFolder,
  kMakeFolders,
  kRemove,
  kRemoveTree,
  kList,
  kAny  // all of them, counted together
};

struct Fault {
  enum class What {
    kError,       // Error{kStorage} with error_number; nothing is done
    kShortWrite,  // a write does the first half of its bytes, then fails; others as kError
    kCrash        // as kShortWrite, but Crash is thrown, from here on by every call
  };
  Call call = Call::kAny;
  int number = 1;  // fires at this call of the kind, counted from set()
  What what = What::kError;
  int error_number = EIO;
  bool lasting = false;  // later calls of the kind fail too
};

/// Another store that fails on cue, for tests. Thread-safe. The inner store outlives it.
class Faulty final : public Store {
 public:
  explicit Faulty(Store& inner) : inner_(inner) {}
  void set(const Fault& fault);  // replaces the one before; counts from here
  void clear();
  bool fired() const;
  int calls(Call call) const;  // since set(), clear() or the start

  /// After a Crash: also takes what a power cut takes at worst, namely bytes of files that were not
  /// synced and names (made, changed or removed) in folders that were not. make_folders and
  /// remove_tree count as lasting at once.
  void lose_unsynced();

  std::unique_ptr<WritableFile> create(const std::string& path) override;
  std::unique_ptr<ReadableFile> open(const std::string& path) override;
  bool exists(const std::string& path) override;
  std::optional<std::uint64_t> file_bytes(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void sync_folder(const std::string& path) override;
  void make_folders(const std::string& path) override;
  void remove(const std::string& path) override;
  void remove_abandoned(const std::string& path) override;
  void remove_tree(const std::string& path) override;
  std::vector<std::string> list(const std::string& folder) override;
  std::uint64_t free_bytes(const std::string& path) override;

 private:
  friend class FaultyWritable;
  friend class FaultyReadable;

  /// A file that this store made.
  struct Tracked {
    std::string path;    // "": removed
    std::string synced;  // its bytes after the last sync
    bool dirty = true;
  };
  /// A change of names that a power cut may undo.
  struct Change {
    Call call = Call::kCreate;         // kCreate, kRename, kRemove
    std::string path;                  // made, renamed to, removed
    std::string from;                  // kRename
    std::optional<std::string> bytes;  // what was at `path` before
    std::set<std::string> folders;     // not yet synced since
  };

  /// Counts a call; true when the fault hits it.
  bool hit(Call call);
  /// hit(), then the error or the crash.
  void pass(Call call, const std::string& path, const std::string& operation);
  [[noreturn]] void fire(const std::string& path, const std::string& operation);
  void require_alive() const;
  std::optional<std::string> bytes_at(const std::string& path);
  void put(const std::string& path, const std::string& bytes);
  void move_names(const std::string& from, const std::string& to);
  void forget(const std::string& path);
  void undo(const Change& change);

  Store& inner_;
  mutable std::recursive_mutex mutex_;  // all below
  std::optional<Fault> fault_;
  std::array<int, 13> counts_{};
  bool fired_ = false;
  bool crashed_ = false;
  std::vector<std::shared_ptr<Tracked>> files_;
  std::vector<Change> changes_;  // oldest first
};

}  // namespace rw::store
