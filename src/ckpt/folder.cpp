// Part of Ropewalk, MIT licence.
#include "ckpt/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "store/crc32c.h"
#include "store/sha256.h"

namespace rw::ckpt {
namespace {

using core::Error;
using core::ErrorKind;

std::uint32_t crc_of(proto::Manifest manifest) {
  manifest.set_manifest_crc32c(0);
  const std::string text = stable_text(manifest);
  return store::crc32c(std::as_bytes(std::span(text)));
}

}  // namespace

std::string StepFolder::name() const { return fmt::format("step-{:012}-{}", step, attempt); }

std::optional<StepFolder> parse_step_folder(const std::string& name) {
  StepFolder out;
  const std::string front = "step-";
  if (name.rfind(front, 0) != 0) return std::nullopt;
  const char* end = name.data() + name.size();
  const auto step = std::from_chars(name.data() + front.size(), end, out.step);
  if (step.ec != std::errc() || step.ptr == end || *step.ptr != '-') return std::nullopt;
  const auto attempt = std::from_chars(step.ptr + 1, end, out.attempt);
  if (attempt.ec != std::errc() || attempt.ptr != end || out.name() != name) return std::nullopt;
  return out;
}

std::string shard_name(std::uint32_t rank) { return fmt::format("r{:05}.shard", rank); }
std::string layout_name(std::uint64_t hash) { return fmt::format("layout-{:016x}.pb", hash); }

std::vector<StepFolder> list_steps(store::Store& store, const std::string& folder) {
  std::vector<StepFolder> out;
  for (const auto& name : store.list(folder)) {
    if (const auto step = parse_step_folder(name)) out.push_back(*step);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<StepFolder> list_committed(store::Store& store, const std::string& folder) {
  auto out = list_steps(store, folder);
  std::erase_if(out, [&](const StepFolder& step) {
    return !store.exists(folder + "/" + step.name() + "/" + kManifestName);
  });
  return out;
}

void write_manifest(store::Store& store, const std::string& step_folder, proto::Manifest manifest) {
  manifest.set_manifest_crc32c(crc_of(manifest));
  const std::string path = step_folder + "/" + kManifestName;
  const std::string text = stable_text(manifest);
  store::write_whole(store, path, text);
  if (store::read_whole(store, path) != text) {
    throw Error(ErrorKind::kStorage, path + ": what was read back is not what was written");
  }
}

proto::Manifest read_manifest(store::Store& store, const std::string& step_folder) {
  const std::string path = step_folder + "/" + kManifestName;
  proto::Manifest out;
  if (!out.ParseFromString(store::read_whole(store, path)) ||
      out.manifest_crc32c() != crc_of(out)) {
    throw Error(ErrorKind::kDataMalformed,
                path +
                    ": its CRC does not hold: the manifest is damaged; try an earlier checkpoint "
                    "with --resume STEP");
  }
  if (out.format_version() != kFormatVersion) {
    throw Error(ErrorKind::kDataMalformed, fmt::format("{}: got format version {}, want {}", path,
                                                       out.format_version(), kFormatVersion));
  }
  return out;
}

std::uint64_t layout_hash(const proto::Layout& layout) {
  const std::string hex = store::sha256_hex(stable_text(layout)).substr(0, 16);
  return std::stoull(hex, nullptr, 16);
}

proto::Layout read_layout(store::Store& store, const std::string& folder, std::uint64_t hash) {
  const std::string path = folder + "/" + layout_name(hash);
  proto::Layout out;
  if (!out.ParseFromString(store::read_whole(store, path)) || layout_hash(out) != hash) {
    throw Error(ErrorKind::kDataMalformed, path +
                                               ": is damaged: it does not have the digest in its "
                                               "name");
  }
  return out;
}

void verify_files(store::Store& store, const std::string& step_folder,
                  const proto::Manifest& manifest, int first, int stride) {
  for (int i = first; i < manifest.files_size(); i += stride) {
    const proto::FileEntry& file = manifest.files(i);
    const std::string path = step_folder + "/" + file.name();
    const ShardReader shard(store, path);
    const bool same = shard.id().step == manifest.step() &&
                      shard.id().attempt == manifest.attempt() &&
                      shard.id().run_uuid == manifest.run_uuid() &&
                      shard.id().layout_hash == manifest.layout_hash() &&
                      shard.id().rank == file.rank() && shard.entry().bytes() == file.bytes() &&
                      shard.entry().file_crc32c() == file.file_crc32c() &&
                      shard.entry().footer_crc32c() == file.footer_crc32c();
    if (!same) {
      throw Error(ErrorKind::kDataMalformed,
                  path + ": a shard of another checkpoint than the manifest lists");
    }
    shard.verify();
  }
}

}  // namespace rw::ckpt
