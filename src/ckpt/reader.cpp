// Part of Ropewalk, MIT licence.
#include "ckpt/reader.h"

#include <fmt/format.h>

#include "core/error.h"

namespace rw::ckpt {
namespace {

using core::Error;
using core::ErrorKind;

/// The folder that holds `path`.
std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

std::string resolve_checkpoint(store::Store& store, const std::string& given) {
  std::string path = given;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (store.exists(path + "/" + kManifestName)) return path;
  for (const std::string& folder : {path, path + "/checkpoints"}) {
    const auto steps = list_committed(store, folder);
    if (!steps.empty()) return folder + "/" + steps.back().name();
  }
  throw Error(ErrorKind::kDataMissing,
              fmt::format("{}: no committed checkpoint; want the folder of one, or an output_dir "
                          "that holds some",
                          given));
}

CheckpointReader::CheckpointReader(store::Store& store, const std::string& path)
    : store_(store),
      folder_(resolve_checkpoint(store, path)),
      manifest_(read_manifest(store, folder_)),
      index_(read_layout(store, parent_of(folder_), manifest_.layout_hash())) {}

const ShardReader& CheckpointReader::shard(std::uint32_t rank) const {
  auto& one = shards_[rank];
  if (one != nullptr) return *one;
  for (const auto& file : manifest_.files()) {
    if (file.rank() != rank) continue;
    auto opened = std::make_unique<ShardReader>(store_, folder_ + "/" + file.name());
    if (opened->entry().bytes() != file.bytes() ||
        opened->entry().file_crc32c() != file.file_crc32c() ||
        opened->id().step != manifest_.step()) {
      throw Error(ErrorKind::kDataMalformed,
                  folder_ + "/" + file.name() + ": not the shard that the manifest lists");
    }
    one = std::move(opened);
    return *one;
  }
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: the manifest lists no shard of rank {}", folder_, rank));
}

const TensorPlace& CheckpointReader::place(const std::string& name, const std::string& kind) const {
  const TensorPlace* found = index_.find(name, kind);
  if (found == nullptr) {
    throw Error(ErrorKind::kDataMissing, fmt::format("{}: holds no {} of {}", folder_, kind, name));
  }
  return *found;
}

core::Tensor CheckpointReader::tensor(const std::string& name, const std::string& kind) const {
  const TensorPlace& what = place(name, kind);
  core::Tensor out = core::Tensor::empty(shape_of(what.record), dtype_of(what.record));
  shard(what.rank).read(what.record, out);
  return out;
}

void CheckpointReader::read(const std::string& name, const std::string& kind,
                            core::Tensor& out) const {
  const TensorPlace& what = place(name, kind);
  if (shape_of(what.record) != out.shape() || dtype_of(what.record) != out.dtype()) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("{}: {} ({}): got {} {}, want {}: it is the checkpoint of another "
                            "model",
                            folder_, name, kind, what.record.dtype(), shape_of(what.record).text(),
                            out.text()));
  }
  shard(what.rank).read(what.record, out);
}

void CheckpointReader::verify() const { verify_files(store_, folder_, manifest_, 0, 1); }

}  // namespace rw::ckpt
