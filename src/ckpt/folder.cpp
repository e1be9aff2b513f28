// Part of Ropewalk, MIT licence.
#include "ckpt/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

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

/// One shard of each rank, each under a name inside of the folder.
void require_all_files(const std::string& path, const proto::Manifest& manifest) {
  std::set<std::uint32_t> ranks;
  bool named = true;
  for (const auto& file : manifest.files()) {
    ranks.insert(file.rank());
    named = named && file.name() == shard_name(file.rank());
  }
  const auto world = static_cast<std::size_t>(manifest.world_size());
  const bool all = ranks.size() == world &&
                   ranks.size() == static_cast<std::size_t>(manifest.files_size()) && world > 0 &&
                   *ranks.rbegin() == world - 1;
  if (all && named) return;
  throw Error(
      ErrorKind::kDataMalformed,
      fmt::format("{}: got {} files of {} ranks, want one shard of each rank; the manifest is "
                  "damaged; try an earlier checkpoint with --resume STEP",
                  path, manifest.files_size(), world));
}

/// The checkpoint that a run goes back to while it moves later ones aside.
std::optional<StepFolder> gone_back_to(store::Store& store, const std::string& folder) {
  const std::string path = folder + "/" + kBackToName;
  if (!store.exists(path)) return std::nullopt;
  constexpr std::uint64_t kMostBytes = 64;
  std::string text = store::read_whole(store, path, kMostBytes);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (const auto step = parse_step_folder(text)) return step;
  throw Error(ErrorKind::kStorage, path +
                                       ": got no name of a checkpoint, want one; remove the file, "
                                       "and say where to go on from with --resume STEP");
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

// Links are none of Store's business but here, where none may be followed on the way to a deletion.
bool is_link(const std::string& path) {
  std::error_code code;
  return std::filesystem::is_symlink(path, code);
}

std::vector<StepFolder> list_steps(store::Store& store, const std::string& folder) {
  std::vector<StepFolder> out;
  for (const auto& name : store.list(folder)) {
    if (const auto step = parse_step_folder(name)) out.push_back(*step);
  }
  std::sort(out.begin(), out.end());
  return out;
}

namespace {

bool may_be_committed(store::Store& store, const std::string& path) {
  try {
    const auto names = store.list(path);
    if (std::find(names.begin(), names.end(), kManifestName) != names.end()) return true;
    return is_link(path) && !store.exists(path);
  } catch (const Error&) {
    return !store.file_bytes(path);
  }
}

}  // namespace

std::vector<StepFolder> list_with_manifest(store::Store& store, const std::string& folder) {
  if (is_link(folder) && !store.exists(folder)) {
    throw Error(ErrorKind::kStorage,
                folder + ": is a link that leads nowhere; is the disk that it leads to mounted?");
  }
  auto out = list_steps(store, folder);
  std::erase_if(out, [&](const StepFolder& step) {
    return !may_be_committed(store, folder + "/" + step.name());
  });
  return out;
}

std::vector<StepFolder> list_committed(store::Store& store, const std::string& folder) {
  auto out = list_with_manifest(store, folder);
  if (out.empty()) return out;
  if (const auto kept = gone_back_to(store, folder)) {
    std::erase_if(out, [&](const StepFolder& step) { return step > *kept; });
  }
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
  const std::string text = store::read_whole(store, path);
  if (text.empty() || !out.ParseFromString(text) || out.manifest_crc32c() != crc_of(out)) {
    throw Error(ErrorKind::kDataMalformed,
                path +
                    ": its CRC does not hold: the manifest is damaged; try an earlier checkpoint "
                    "with --resume STEP");
  }
  if (out.format_version() != kFormatVersion) {
    throw Error(ErrorKind::kDataMalformed, fmt::format("{}: got format version {}, want {}", path,
                                                       out.format_version(), kFormatVersion));
  }
  require_all_files(path, out);
  const auto named = parse_step_folder(step_folder.substr(step_folder.rfind('/') + 1));
  if (named && *named != StepFolder{out.step(), out.attempt()}) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: is the manifest of {}; the folder holds another checkpoint than "
                            "its name says; try an earlier one with --resume STEP",
                            path, StepFolder{out.step(), out.attempt()}.name()));
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
