// Part of Ropewalk, MIT licence.
#include "store/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <mutex>

#include "core/error.h"
#include "store/failure.h"

namespace rw::store {
namespace {

using core::Error;
using core::ErrorKind;

using Bytes = std::vector<std::byte>;
constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 40;

/// nullptr: a folder.
using Node = std::shared_ptr<Bytes>;

struct Tree {
  std::mutex mutex;  // all nodes and their bytes
  std::map<std::string, Node> nodes{{".", nullptr}, {"/", nullptr}};
};

std::string normal(const std::string& path) {
  auto out = std::filesystem::path(path).lexically_normal().string();
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  return out.empty() ? "." : out;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// "a/" for "a": what the names below a folder begin with.
std::string front_of(const std::string& folder) {
  if (folder == ".") return "";
  return folder == "/" ? "/" : folder + "/";
}

class MemoryWritable final : public WritableFile {
 public:
  MemoryWritable(std::string path, std::shared_ptr<Tree> tree, Node node)
      : path_(std::move(path)), tree_(std::move(tree)), node_(std::move(node)) {}
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    require_open();
    const std::lock_guard lock(tree_->mutex);
    if (node_->size() < offset + bytes.size()) node_->resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), node_->begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void sync() override { require_open(); }
  void close() override {
    require_open();
    open_ = false;
  }

 private:
  void require_open() const {
    if (!open_) throw Error(ErrorKind::kStorage, path_ + ": the file is closed");
  }
  std::string path_;
  std::shared_ptr<Tree> tree_;
  Node node_;
  bool open_ = true;
};

class MemoryReadable final : public ReadableFile {
 public:
  MemoryReadable(std::string path, std::shared_ptr<Tree> tree, Node node)
      : path_(std::move(path)),
        tree_(std::move(tree)),
        node_(std::move(node)),
        bytes_(node_->size()) {}
  std::uint64_t bytes() const override { return bytes_; }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(tree_->mutex);
    const std::uint64_t there = offset < node_->size() ? node_->size() - offset : 0;
    const auto count = std::min<std::uint64_t>(there, out.size());
    std::copy_n(node_->begin() + static_cast<std::ptrdiff_t>(count > 0 ? offset : 0), count,
                out.begin());
    if (count == out.size()) return;
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: the file ends at byte {}, want {} more bytes from byte {}", path_,
                            bytes_, out.size() - count, offset + count));
  }

 private:
  std::string path_;
  std::shared_ptr<Tree> tree_;
  Node node_;
  std::uint64_t bytes_;
};

class Memory final : public Store {
 public:
  std::unique_ptr<WritableFile> create(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(path);
    if (!is_folder(parent_of(name))) fail_storage(path, "create", parent_errno(name));
    if (has(name)) fail_storage(path, "create", EEXIST);
    const auto node = std::make_shared<Bytes>();
    tree_->nodes[name] = node;
    return std::make_unique<MemoryWritable>(path, tree_, node);
  }

  std::unique_ptr<ReadableFile> open(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(path);
    if (!has(name)) throw Error(ErrorKind::kDataMissing, path + ": no such file");
    if (is_folder(name)) {
      throw Error(ErrorKind::kDataMissing, path + ": got a folder, want a regular file");
    }
    return std::make_unique<MemoryReadable>(path, tree_, tree_->nodes[name]);
  }

  bool exists(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    return has(normal(path));
  }

  std::optional<std::uint64_t> file_bytes(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const auto found = tree_->nodes.find(normal(path));
    if (found == tree_->nodes.end() || found->second == nullptr) return std::nullopt;
    return found->second->size();
  }

  void rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string source = normal(from);
    const std::string target = normal(to);
    if (const int code = rename_errno(source, target); code != 0) {
      fail_storage(from, "rename to " + to, code);
    }
    if (source == target) return;
    std::map<std::string, Node> moved{{target, tree_->nodes.at(source)}};
    for (const auto& name : below(source)) {
      moved[target + name.substr(source.size())] = tree_->nodes.at(name);
      tree_->nodes.erase(name);
    }
    tree_->nodes.erase(source);
    for (auto& [name, node] : moved) tree_->nodes[name] = std::move(node);
  }

  void sync_folder(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(path);
    if (!is_folder(name)) fail_storage(path, "open the folder", has(name) ? ENOTDIR : ENOENT);
  }

  void make_folders(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(path);
    for (std::size_t at = name.find('/', 1); at != std::string::npos; at = name.find('/', at + 1)) {
      make_one(path, name.substr(0, at));
    }
    make_one(path, name);
  }

  void remove(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(path);
    if (!below(name).empty()) fail_storage(path, "remove", ENOTEMPTY);
    tree_->nodes.erase(name);
  }

  void remove_abandoned(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const auto found = tree_->nodes.find(normal(path));
    if (found != tree_->nodes.end() && found->second.use_count() == 1) tree_->nodes.erase(found);
  }

  void remove_tree(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(path);
    for (const auto& one : below(name)) tree_->nodes.erase(one);
    tree_->nodes.erase(name);
  }

  std::vector<std::string> list(const std::string& folder) override {
    const std::lock_guard lock(tree_->mutex);
    const std::string name = normal(folder);
    if (has(name) && !is_folder(name)) fail_storage(folder, "list", ENOTDIR);
    std::vector<std::string> out;
    for (const auto& one : below(name)) {
      if (parent_of(one) == name) out.push_back(one.substr(front_of(name).size()));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  std::uint64_t free_bytes(const std::string& path) override {
    const std::lock_guard lock(tree_->mutex);
    if (!has(normal(path))) fail_storage(path, "statvfs", ENOENT);
    return kFreeBytes;
  }

 private:
  bool has(const std::string& name) const { return tree_->nodes.contains(name); }
  bool is_folder(const std::string& name) const {
    const auto found = tree_->nodes.find(name);
    return found != tree_->nodes.end() && found->second == nullptr;
  }
  int parent_errno(const std::string& name) const {
    return has(parent_of(name)) ? ENOTDIR : ENOENT;
  }
  /// All names below a folder, at any depth.
  std::vector<std::string> below(const std::string& name) const {
    std::vector<std::string> out;
    if (!is_folder(name)) return out;
    const std::string front = front_of(name);
    for (const auto& [one, node] : tree_->nodes) {
      const bool root = one == "." || one == "/";
      const bool other_root = front.empty() && one.front() == '/';
      if (!root && !other_root && one != name && one.rfind(front, 0) == 0) out.push_back(one);
    }
    return out;
  }
  /// What rename(2) would say; 0: nothing against it.
  int rename_errno(const std::string& from, const std::string& to) const {
    if (!has(from)) return ENOENT;
    if (!is_folder(parent_of(to))) return parent_errno(to);
    if (to.rfind(from + "/", 0) == 0) return EINVAL;
    if (!has(to) || from == to) return 0;
    if (is_folder(from) && !is_folder(to)) return ENOTDIR;
    if (!is_folder(from) && is_folder(to)) return EISDIR;
    return below(to).empty() ? 0 : ENOTEMPTY;
  }
  void make_one(const std::string& path, const std::string& name) {
    if (has(name) && !is_folder(name)) fail_storage(path, "make the folder", ENOTDIR);
    tree_->nodes[name] = nullptr;
  }

  std::shared_ptr<Tree> tree_ = std::make_shared<Tree>();
};

}  // namespace

std::unique_ptr<Store> make_memory() { return std::make_unique<Memory>(); }

}  // namespace rw::store
