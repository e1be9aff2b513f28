// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "proto/checkpoint.pb.h"
#include "store/store.h"

namespace rw::ckpt {

namespace proto = ::ropewalk::ckpt;

/// The shard container of papers/checkpoint.md §7.8: superblock, payload, footer, trailer;
/// little-endian; docs/formats/checkpoint.md has every byte.
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kBlockBytes = 1U << 20;  // CRC unit of the payload

/// Names one shard file among all that ever were.
struct ShardId {
  std::string run_uuid;  // 16 bytes
  std::uint64_t step = 0;
  std::uint32_t attempt = 0;
  std::uint32_t rank = 0;
  std::uint32_t world = 1;
  std::uint64_t layout_hash = 0;
  bool operator==(const ShardId&) const = default;
};

/// The bytes of a message in the one form that equal messages share (maps in the order of keys).
std::string stable_text(const google::protobuf::MessageLite& message);

/// Gives every record its place: tensors of 1 MiB and more at multiples of 4 KiB, smaller ones
/// packed at multiples of 256 bytes. Returns the bytes of the payload.
std::uint64_t place_records(proto::RankLayout& layout);

/// Writes one shard under `path` aside, syncs it and renames it; the folder is not synced. `tensors`
/// are those of `layout`, in its order. Error{kStorage}; then nothing is left under either name.
proto::FileEntry write_shard(store::Store& store, const std::string& path, const ShardId& id,
                             const proto::RankLayout& layout, std::span<const core::Tensor> tensors,
                             const proto::RankMeta& meta);

/// A shard file whose superblock, trailer and footer agree with each other and with the length.
/// Everything that fails a check is Error{kDataMalformed} naming file and check.
class ShardReader {
 public:
  ShardReader(store::Store& store, const std::string& path);
  const ShardId& id() const { return id_; }
  const proto::Footer& footer() const { return footer_; }
  const proto::FileEntry& entry() const { return entry_; }  // as the manifest must list it
  /// Fills `out` (host or device) with bytes of a record, from byte `first` of it; every block that
  /// they lie in is checked.
  void read(const proto::TensorRecord& record, std::uint64_t first, core::Tensor& out) const;
  /// Reads and checks every byte.
  void verify() const;

 private:
  void read_superblock();
  void read_trailer();
  void read_footer(std::uint64_t offset, std::uint64_t bytes, std::uint32_t crc);
  void read_block(std::uint64_t block, std::vector<std::byte>& into) const;
  [[noreturn]] void malformed(const std::string& what) const;

  std::string path_;
  std::unique_ptr<store::ReadableFile> file_;
  ShardId id_;
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t footer_offset_ = 0;
  proto::Footer footer_;
  proto::FileEntry entry_;
};

}  // namespace rw::ckpt
