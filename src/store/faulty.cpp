// Part of Ropewalk, MIT licence.
#include "store/faulty.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "store/failure.h"

namespace rw::store {
namespace {

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.rfind(folder + "/", 0) == 0;
}

}  // namespace

class FaultyWritable final : public WritableFile {
 public:
  FaultyWritable(Faulty& store, std::unique_ptr<WritableFile> inner, std::string path,
                 std::shared_ptr<Faulty::Tracked> tracked)
      : store_(store),
        inner_(std::move(inner)),
        path_(std::move(path)),
        tracked_(std::move(tracked)) {}

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const std::lock_guard lock(store_.mutex_);
    require_healthy();
    if (store_.hit(Call::kWrite)) {
      if (store_.fault_->what != Fault::What::kError) {
        inner_->write_at(offset, bytes.first(bytes.size() / 2));
        tracked_->dirty = true;
      }
      fail("write");
    }
    inner_->write_at(offset, bytes);
    tracked_->dirty = true;
  }
  void sync() override {
    const std::lock_guard lock(store_.mutex_);
    require_healthy();
    if (store_.hit(Call::kSync)) fail("fdatasync");
    inner_->sync();
    tracked_->synced = store_.bytes_at(tracked_->path).value_or("");
    tracked_->dirty = false;
  }
  void close() override {
    const std::lock_guard lock(store_.mutex_);
    require_healthy();
    if (store_.hit(Call::kClose)) fail("close");
    inner_->close();
  }

 private:
  void require_healthy() const {
    store_.require_alive();
    if (reason_.empty()) return;
    throw core::Error(core::ErrorKind::kStorage,
                      path_ + ": an earlier " + reason_ + " failed: the file is given up");
  }
  [[noreturn]] void fail(const std::string& operation) {
    reason_ = operation;
    store_.fire(path_, operation);
  }

  Faulty& store_;
  std::unique_ptr<WritableFile> inner_;
  std::string path_;
  std::shared_ptr<Faulty::Tracked> tracked_;
  std::string reason_;  // the operation that failed
};

class FaultyReadable final : public ReadableFile {
 public:
  FaultyReadable(Faulty& store, std::unique_ptr<ReadableFile> inner, std::string path)
      : store_(store), inner_(std::move(inner)), path_(std::move(path)) {}
  std::uint64_t bytes() const override { return inner_->bytes(); }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(store_.mutex_);
    store_.pass(Call::kRead, path_, "read");
    inner_->read_at(offset, out);
  }

 private:
  Faulty& store_;
  std::unique_ptr<ReadableFile> inner_;
  std::string path_;
};

void Faulty::set(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  clear();
  fault_ = fault;
}

void Faulty::clear() {
  const std::lock_guard lock(mutex_);
  fault_.reset();
  counts_.fill(0);
  fired_ = false;
}

bool Faulty::fired() const {
  const std::lock_guard lock(mutex_);
  return fired_;
}

int Faulty::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  return counts_.at(static_cast<std::size_t>(call));
}

void Faulty::require_alive() const {
  if (crashed_) throw Crash();
}

bool Faulty::hit(Call call) {
  require_alive();
  const int of_kind = ++counts_.at(static_cast<std::size_t>(call));
  const int of_all = ++counts_.at(static_cast<std::size_t>(Call::kAny));
  if (!fault_ || (fault_->call != call && fault_->call != Call::kAny)) return false;
  const int count = fault_->call == Call::kAny ? of_all : of_kind;
  const bool now = count == fault_->number || (fault_->lasting && count > fault_->number);
  fired_ = fired_ || now;
  return now;
}

void Faulty::fire(const std::string& path, const std::string& operation) {
  if (fault_->what != Fault::What::kCrash) fail_storage(path, operation, fault_->error_number);
  crashed_ = true;
  throw Crash();
}

void Faulty::pass(Call call, const std::string& path, const std::string& operation) {
  if (hit(call)) fire(path, operation);
}

std::unique_ptr<WritableFile> Faulty::create(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kCreate, path, "create");
  auto inner = inner_.create(path);
  files_.push_back(std::make_shared<Tracked>(Tracked{path, "", true}));
  changes_.push_back({Call::kCreate, path, "", std::nullopt, {parent_of(path)}});
  return std::make_unique<FaultyWritable>(*this, std::move(inner), path, files_.back());
}

std::unique_ptr<ReadableFile> Faulty::open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kOpen, path, "open");
  return std::make_unique<FaultyReadable>(*this, inner_.open(path), path);
}

bool Faulty::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  require_alive();
  return inner_.exists(path);
}

std::optional<std::uint64_t> Faulty::file_bytes(const std::string& path) {
  const std::lock_guard lock(mutex_);
  require_alive();
  return inner_.file_bytes(path);
}

void Faulty::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  pass(Call::kRename, from, "rename to " + to);
  auto before = bytes_at(to);
  inner_.rename(from, to);
  forget(to);
  move_names(from, to);
  changes_.push_back(
      {Call::kRename, to, from, std::move(before), {parent_of(from), parent_of(to)}});
}

void Faulty::sync_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kSyncFolder, path, "fsync");
  inner_.sync_folder(path);
  for (Change& change : changes_) change.folders.erase(path);
  std::erase_if(changes_, [](const Change& change) { return change.folders.empty(); });
}

void Faulty::make_folders(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kMakeFolders, path, "make the folder");
  inner_.make_folders(path);
}

void Faulty::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kRemove, path, "remove");
  auto before = bytes_at(path);
  inner_.remove(path);
  forget(path);
  if (before) {
    changes_.push_back({Call::kRemove, path, "", std::move(before), {parent_of(path)}});
  }
}

void Faulty::remove_abandoned(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kRemove, path, "remove");
  auto before = bytes_at(path);
  inner_.remove_abandoned(path);
  if (!before || inner_.exists(path)) return;
  forget(path);
  changes_.push_back({Call::kRemove, path, "", std::move(before), {parent_of(path)}});
}

void Faulty::remove_tree(const std::string& path) {
  const std::lock_guard lock(mutex_);
  pass(Call::kRemoveTree, path, "remove the tree");
  inner_.remove_tree(path);
  forget(path);
  std::erase_if(changes_, [&](const Change& change) { return is_below(change.path, path); });
}

std::vector<std::string> Faulty::list(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  pass(Call::kList, folder, "list");
  return inner_.list(folder);
}

std::uint64_t Faulty::free_bytes(const std::string& path) {
  const std::lock_guard lock(mutex_);
  require_alive();
  return inner_.free_bytes(path);
}

std::optional<std::string> Faulty::bytes_at(const std::string& path) {
  if (!inner_.file_bytes(path)) return std::nullopt;
  return read_whole(inner_, path);
}

void Faulty::put(const std::string& path, const std::string& bytes) {
  if (!inner_.exists(parent_of(path))) return;  // its folder is gone for good
  inner_.remove(path);
  const auto file = inner_.create(path);
  file->write_at(0, std::as_bytes(std::span(bytes)));
  file->close();
}

void Faulty::move_names(const std::string& from, const std::string& to) {
  const auto move = [&](std::string& path) {
    if (!path.empty() && is_below(path, from)) path = to + path.substr(from.size());
  };
  for (const auto& file : files_) move(file->path);
  if (inner_.file_bytes(to)) return;  // changes of the file itself keep their names
  for (Change& change : changes_) {
    move(change.path);
    move(change.from);
    std::set<std::string> folders;
    for (std::string folder : change.folders) {
      move(folder);
      folders.insert(folder);
    }
    change.folders = folders;
  }
}

void Faulty::forget(const std::string& path) {
  for (const auto& file : files_) {
    if (is_below(file->path, path)) file->path.clear();
  }
}

void Faulty::undo(const Change& change) {
  if (change.call == Call::kCreate) {
    inner_.remove(change.path);
    forget(change.path);
  }
  if (change.call == Call::kRename && inner_.exists(change.path) &&
      inner_.exists(parent_of(change.from))) {
    inner_.rename(change.path, change.from);
    move_names(change.path, change.from);
  }
  if (change.bytes) put(change.path, *change.bytes);
}

void Faulty::lose_unsynced() {
  const std::lock_guard lock(mutex_);
  std::reverse(changes_.begin(), changes_.end());
  const auto changes = std::exchange(changes_, {});
  for (const Change& change : changes) undo(change);
  for (const auto& file : files_) {
    if (file->dirty && !file->path.empty()) put(file->path, file->synced);
  }
  files_.clear();
}

}  // namespace rw::store
