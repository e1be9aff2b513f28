// Part of Ropewalk, MIT licence.
#include "ckpt/shard.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"
#include "store/crc32c.h"

namespace rw::ckpt {
namespace {

using core::Error;
using core::ErrorKind;

constexpr std::string_view kMagic = "RWSHARD1";
constexpr std::string_view kTrailerMagic = "RWTRAIL1";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kCrc32c = 1;
constexpr std::uint64_t kUuidBytes = 16;
constexpr std::uint64_t kSmallAlignment = 256;
constexpr std::uint64_t kMostFooterBytes = std::uint64_t{1} << 30;

std::uint64_t round_up(std::uint64_t x, std::uint64_t to) { return (x + to - 1) / to * to; }

/// A 4 KiB page of little-endian fields; its last four bytes are the CRC of the rest.
class Page {
 public:
  void put(std::string_view text) {
    std::memcpy(bytes_.data() + at_, text.data(), text.size());
    at_ += text.size();
  }
  template <class T>
  void put_number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_[at_++] = static_cast<std::byte>((value >> (8 * i)) & 0xffU);
    }
  }
  std::string take(std::size_t count) {
    std::string out(count, '\0');
    std::memcpy(out.data(), bytes_.data() + at_, count);
    at_ += count;
    return out;
  }
  template <class T>
  T take_number() {
    T out = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      out |= static_cast<T>(std::to_integer<T>(bytes_[at_++]) << (8 * i));
    }
    return out;
  }
  void seal() {
    at_ = bytes_.size() - 4;
    put_number(crc());
  }
  bool sealed() const {
    Page copy = *this;
    copy.at_ = bytes_.size() - 4;
    return copy.take_number<std::uint32_t>() == crc();
  }
  std::span<std::byte> bytes() { return bytes_; }

 private:
  std::uint32_t crc() const {
    return store::crc32c(std::span<const std::byte>(bytes_).first(bytes_.size() - 4));
  }
  std::array<std::byte, kPage> bytes_{};
  std::size_t at_ = 0;
};

Page make_superblock(const ShardId& id, std::uint64_t payload_bytes) {
  Page page;
  page.put(kMagic);
  page.put_number(kVersion);
  page.put(id.run_uuid);
  page.put_number(id.step);
  page.put_number(id.attempt);
  page.put_number(id.rank);
  page.put_number(id.world);
  page.put_number(id.layout_hash);
  page.put_number(kPage);
  page.put_number(payload_bytes);
  page.put_number(kBlockBytes);
  page.put_number(kCrc32c);
  page.seal();
  return page;
}

/// Puts bytes one after the other; keeps the CRC of each block of the payload and of the file.
class Appender {
 public:
  explicit Appender(store::WritableFile& file) : file_(file) { block_.reserve(kBlockBytes); }
  void raw(std::span<const std::byte> bytes) {
    file_.write_at(offset_, bytes);
    file_crc_ = store::crc32c(bytes, file_crc_);
    offset_ += bytes.size();
  }
  void payload(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part =
          bytes.first(std::min<std::size_t>(bytes.size(), kBlockBytes - block_.size()));
      block_.insert(block_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (block_.size() == kBlockBytes) end_block();
    }
  }
  void end_block() {
    if (block_.empty()) return;
    block_crcs_.push_back(store::crc32c(block_));
    raw(block_);
    block_.clear();
  }
  std::uint64_t offset() const { return offset_ + block_.size(); }
  std::uint32_t file_crc() const { return file_crc_; }
  const std::vector<std::uint32_t>& block_crcs() const { return block_crcs_; }

 private:
  store::WritableFile& file_;
  std::vector<std::byte> block_;
  std::uint64_t offset_ = 0;
  std::uint32_t file_crc_ = 0;
  std::vector<std::uint32_t> block_crcs_;
};

void append_tensor(Appender& out, const core::Tensor& tensor) {
  const auto elems_per_block =
      static_cast<std::int64_t>(kBlockBytes / core::dtype_bytes(tensor.dtype()));
  std::vector<std::byte> block;
  for (std::int64_t at = 0; at < tensor.elems(); at += elems_per_block) {
    const auto part = tensor.flat(at, std::min(tensor.elems(), at + elems_per_block));
    block.resize(part.bytes());
    core::copy_to_host(part, block.data(), block.size());
    out.payload(block);
  }
}

void append_footer(Appender& out, const proto::RankLayout& layout, const proto::RankMeta& meta,
                   proto::FileEntry& entry) {
  proto::Footer footer;
  footer.mutable_block_crc32c()->Add(out.block_crcs().begin(), out.block_crcs().end());
  *footer.mutable_meta() = meta;
  *footer.mutable_index() = layout;
  const std::string text = stable_text(footer);
  const std::uint64_t offset = out.offset();
  entry.set_footer_crc32c(store::crc32c(std::as_bytes(std::span(text))));
  std::string padded = text;
  padded.resize(round_up(text.size(), kPage), '\0');
  out.raw(std::as_bytes(std::span(padded)));
  entry.set_file_crc32c(out.file_crc());
  entry.set_bytes(out.offset() + kPage);
  Page trailer;
  trailer.put(kTrailerMagic);
  trailer.put_number(offset);
  trailer.put_number(static_cast<std::uint64_t>(text.size()));
  trailer.put_number(static_cast<std::uint32_t>(entry.footer_crc32c()));
  trailer.put_number(static_cast<std::uint64_t>(entry.bytes()));
  trailer.put_number(static_cast<std::uint32_t>(entry.file_crc32c()));
  trailer.seal();
  out.raw(trailer.bytes());
}

}  // namespace

std::string stable_text(const google::protobuf::MessageLite& message) {
  std::string out;
  google::protobuf::io::StringOutputStream stream(&out);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return out;
}

std::uint64_t place_records(proto::RankLayout& layout) {
  std::uint64_t at = kPage;
  for (auto& record : *layout.mutable_tensors()) {
    at = round_up(at, record.bytes() >= kBlockBytes ? kPage : kSmallAlignment);
    record.set_file_offset(at);
    at += record.bytes();
  }
  return round_up(at, kPage) - kPage;
}

proto::FileEntry write_shard(store::Store& store, const std::string& path, const ShardId& id,
                             const proto::RankLayout& layout, std::span<const core::Tensor> tensors,
                             const proto::RankMeta& meta) {
  proto::RankLayout placed = layout;
  const std::uint64_t payload_bytes = place_records(placed);
  const auto slash = path.rfind('/');
  const std::string aside = path.substr(0, slash + 1) + "." + path.substr(slash + 1) + ".part";
  proto::FileEntry entry;
  entry.set_rank(id.rank);
  entry.set_name(path.substr(slash + 1));
  store.remove(aside);
  try {
    const auto file = store.create(aside);
    Appender out(*file);
    out.raw(make_superblock(id, payload_bytes).bytes());
    const auto pad_to = [&](std::uint64_t offset) {
      out.payload(std::vector<std::byte>(offset - out.offset()));
    };
    for (int i = 0; i < placed.tensors_size(); ++i) {
      pad_to(placed.tensors(i).file_offset());
      append_tensor(out, tensors[static_cast<std::size_t>(i)]);
    }
    pad_to(kPage + payload_bytes);
    out.end_block();
    append_footer(out, placed, meta, entry);
    file->sync();
    file->close();
    store.rename(aside, path);
  } catch (const Error&) {
    try {
      store.remove(aside);
    } catch (const Error&) {  // the first failure is the one to tell
    }
    throw;
  }
  return entry;
}

ShardReader::ShardReader(store::Store& store, const std::string& path)
    : path_(path), file_(store.open(path)) {
  if (file_->bytes() < 2 * kPage) malformed(fmt::format("got {} bytes, want more", file_->bytes()));
  read_superblock();
  read_trailer();
  entry_.set_rank(id_.rank);
  entry_.set_name(path.substr(path.rfind('/') + 1));
}

void ShardReader::malformed(const std::string& what) const {
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: {}; the shard is damaged: try an earlier checkpoint with --resume "
                          "STEP",
                          path_, what));
}

void ShardReader::read_superblock() {
  Page page;
  file_->read_at(0, page.bytes());
  if (page.take(kMagic.size()) != kMagic) malformed("no shard file (magic)");
  if (!page.sealed()) malformed("superblock: its CRC does not hold");
  if (const auto version = page.take_number<std::uint32_t>(); version != kVersion) {
    malformed(fmt::format("superblock: got format version {}, want {}", version, kVersion));
  }
  id_.run_uuid = page.take(kUuidBytes);
  id_.step = page.take_number<std::uint64_t>();
  id_.attempt = page.take_number<std::uint32_t>();
  id_.rank = page.take_number<std::uint32_t>();
  id_.world = page.take_number<std::uint32_t>();
  id_.layout_hash = page.take_number<std::uint64_t>();
  const auto payload_offset = page.take_number<std::uint64_t>();
  payload_bytes_ = page.take_number<std::uint64_t>();
  const auto block_bytes = page.take_number<std::uint64_t>();
  const auto checksum = page.take_number<std::uint32_t>();
  if (payload_offset != kPage || block_bytes != kBlockBytes || checksum != kCrc32c) {
    malformed("superblock: sizes or checksum kind of another program");
  }
}

void ShardReader::read_trailer() {
  Page page;
  file_->read_at(file_->bytes() - kPage, page.bytes());
  if (page.take(kTrailerMagic.size()) != kTrailerMagic) malformed("no trailer: it is truncated");
  if (!page.sealed()) malformed("trailer: its CRC does not hold");
  footer_offset_ = page.take_number<std::uint64_t>();
  const auto footer_bytes = page.take_number<std::uint64_t>();
  const auto footer_crc = page.take_number<std::uint32_t>();
  const auto file_bytes = page.take_number<std::uint64_t>();
  const auto file_crc = page.take_number<std::uint32_t>();
  if (file_bytes != file_->bytes() || footer_offset_ != kPage + payload_bytes_ ||
      footer_bytes > kMostFooterBytes ||
      footer_offset_ + round_up(footer_bytes, kPage) + kPage != file_bytes) {
    malformed(fmt::format("trailer: the file has {} bytes and does not fit what it says of itself",
                          file_->bytes()));
  }
  read_footer(footer_offset_, footer_bytes, footer_crc);
  entry_.set_bytes(file_bytes);
  entry_.set_file_crc32c(file_crc);
  entry_.set_footer_crc32c(footer_crc);
}

void ShardReader::read_footer(std::uint64_t offset, std::uint64_t bytes, std::uint32_t crc) {
  std::string text(bytes, '\0');
  file_->read_at(offset, std::as_writable_bytes(std::span(text)));
  if (store::crc32c(std::as_bytes(std::span(text))) != crc) {
    malformed("footer: its CRC does not hold");
  }
  if (!footer_.ParseFromString(text)) malformed("footer: not readable");
  const std::uint64_t blocks = (payload_bytes_ + kBlockBytes - 1) / kBlockBytes;
  if (static_cast<std::uint64_t>(footer_.block_crc32c_size()) != blocks) {
    malformed(
        fmt::format("footer: got {} block CRCs, want {}", footer_.block_crc32c_size(), blocks));
  }
}

void ShardReader::read_block(std::uint64_t block, std::vector<std::byte>& into) const {
  const std::uint64_t begin = block * kBlockBytes;
  into.resize(std::min(kBlockBytes, payload_bytes_ - begin));
  file_->read_at(kPage + begin, into);
  if (store::crc32c(into) != footer_.block_crc32c(static_cast<int>(block))) {
    malformed(fmt::format("block {} (bytes {} to {}): its CRC does not hold", block, kPage + begin,
                          kPage + begin + into.size()));
  }
}

void ShardReader::read(const proto::TensorRecord& record, std::uint64_t first,
                       core::Tensor& out) const {
  const std::uint64_t payload = record.file_offset() - kPage;
  if (record.file_offset() < kPage || record.bytes() > payload_bytes_ ||
      payload > payload_bytes_ - record.bytes() || first > record.bytes() ||
      out.bytes() > record.bytes() - first) {
    malformed(fmt::format("{} ({}): got {} bytes at {}, want {} from byte {} on inside the payload",
                          record.logical_name(), record.kind(), record.bytes(),
                          record.file_offset(), out.bytes(), first));
  }
  const std::uint64_t begin = payload + first;
  const std::uint64_t end = begin + out.bytes();
  std::vector<std::byte> all(out.bytes());
  std::vector<std::byte> block;
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t number = at / kBlockBytes;
    read_block(number, block);
    const std::uint64_t inside = at - number * kBlockBytes;
    const std::uint64_t count = std::min(block.size() - inside, end - at);
    std::memcpy(all.data() + (at - begin), block.data() + inside, count);
    at += count;
  }
  core::copy_from_host(all.data(), all.size(), out);
}

void ShardReader::verify() const {
  std::vector<std::byte> block;
  const auto blocks = static_cast<std::uint64_t>(footer_.block_crc32c_size());
  for (std::uint64_t i = 0; i < blocks; ++i) read_block(i, block);
  std::uint32_t crc = 0;
  const std::uint64_t end = file_->bytes() - kPage;
  for (std::uint64_t at = 0; at < end; at += block.size()) {
    block.resize(std::min(kBlockBytes, end - at));
    file_->read_at(at, block);
    crc = store::crc32c(block, crc);
  }
  if (crc != entry_.file_crc32c()) malformed("the CRC of the whole file does not hold");
}

}  // namespace rw::ckpt
