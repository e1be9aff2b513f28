// Part of Ropewalk, MIT licence.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ckpt/shard.h"
#include "store/store.h"

namespace rw::ckpt {

inline constexpr const char* kManifestName = "MANIFEST.pb";
inline constexpr const char* kLatestName = "LATEST";
inline constexpr const char* kBackToName = "BACK_TO";
inline constexpr const char* kQuarantine = "quarantine";
inline constexpr const char* kRunName = "RUN.pb";
inline constexpr std::uint32_t kFormatVersion = 1;

/// One checkpoint's folder, step-<12 digits>-<attempt>; ordered oldest first.
struct StepFolder {
  std::uint64_t step = 0;
  std::uint32_t attempt = 0;
  auto operator<=>(const StepFolder&) const = default;
  std::string name() const;
};
std::optional<StepFolder> parse_step_folder(const std::string& name);
std::string shard_name(std::uint32_t rank);  // "r00003.shard"
std::string layout_name(std::uint64_t hash);

/// A symbolic link, wherever it leads.
bool is_link(const std::string& path);

/// All step folders below `folder`, ascending. Error{kStorage} when it cannot be listed.
std::vector<StepFolder> list_steps(store::Store& store, const std::string& folder);
/// Those with a manifest, and those of which that cannot be said (no permission, a link that leads
/// nowhere): they were committed once, and reading them says what is wrong.
std::vector<StepFolder> list_with_manifest(store::Store& store, const std::string& folder);
/// Those of them that a run may go on from: not what a return to an earlier one (BACK_TO holds its
/// name until all later ones are in quarantine/) has left behind.
std::vector<StepFolder> list_committed(store::Store& store, const std::string& folder);

/// MANIFEST.pb of a step's folder, written whole or not at all, read back and compared.
void write_manifest(store::Store& store, const std::string& step_folder, proto::Manifest manifest);
/// Error{kDataMissing} without it; Error{kDataMalformed} when its CRC does not hold, it does not list
/// one shard of each rank, or is that of another step than its folder's name.
proto::Manifest read_manifest(store::Store& store, const std::string& step_folder);
/// First 8 bytes of the layout's SHA-256.
std::uint64_t layout_hash(const proto::Layout& layout);
/// layout-<hash>.pb beside the step folders. Error{kDataMissing}, Error{kDataMalformed}.
proto::Layout read_layout(store::Store& store, const std::string& folder, std::uint64_t hash);

/// Checks files `first`, first + stride, … of the manifest against it, every byte of them.
void verify_files(store::Store& store, const std::string& step_folder,
                  const proto::Manifest& manifest, int first, int stride);

}  // namespace rw::ckpt
