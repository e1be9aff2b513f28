// Part of Ropewalk, MIT licence.
#include "ckpt/reader.h"

#include <fmt/format.h>

#include <algorithm>

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

/// Where the layout of a step's folder lies: beside it, or beside quarantine/, where it was before.
std::string layout_folder(const std::string& step_folder) {
  const std::string parent = parent_of(step_folder);
  const bool aside = parent.substr(parent.rfind('/') + 1) == kQuarantine;
  return aside ? parent_of(parent) : parent;
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
      index_(read_layout(store, layout_folder(folder_), manifest_.layout_hash())) {}

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

std::span<const TensorPlace> CheckpointReader::places(const std::string& name,
                                                      const std::string& kind) const {
  const auto found = index_.find(name, kind);
  if (found.empty()) {
    throw Error(ErrorKind::kDataMissing, fmt::format("{}: holds no {} of {}", folder_, kind, name));
  }
  return found;
}

core::Tensor CheckpointReader::tensor(const std::string& name, const std::string& kind) const {
  const auto& record = places(name, kind).front().record;
  core::Tensor out = core::Tensor::empty(shape_of(record), dtype_of(record));
  read({name, kind}, out);
  return out;
}

void CheckpointReader::read(const core::StateTensor& what, core::Tensor& out) const {
  const auto found = places(what.name, what.kind);
  const auto& record = found.front().record;
  const core::Shape& shape = what.shape.rank() > 0 ? what.shape : out.shape();
  if (shape_of(record) != shape || dtype_of(record) != out.dtype()) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("{}: {} ({}): got {} {}, want {} {}: it is the checkpoint of another "
                            "model",
                            folder_, what.name, what.kind, record.dtype(), shape_of(record).text(),
                            core::dtype_name(out.dtype()), shape.text()));
  }
  const auto width = static_cast<std::uint64_t>(core::dtype_bytes(out.dtype()));
  const std::int64_t end = what.first + out.elems();
  std::int64_t next = what.first;
  for (const TensorPlace& place : found) {
    const ElemRange range = range_of(place.record);
    if (range.begin > next || range.end <= next || next == end) continue;
    const std::int64_t last = std::min(end, range.end);
    core::Tensor part = out.flat(next - what.first, last - what.first);
    shard(place.rank)
        .read(place.record, static_cast<std::uint64_t>(next - range.begin) * width, part);
    next = last;
  }
  if (next == end) return;
  throw Error(ErrorKind::kDataMissing,
              fmt::format("{}: {} ({}): holds no element {}", folder_, what.name, what.kind, next));
}

void CheckpointReader::verify() const { verify_files(store_, folder_, manifest_, 0, 1); }

}  // namespace rw::ckpt
