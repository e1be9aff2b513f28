// Part of Ropewalk, MIT licence.
// The footer of a shard, between a superblock and a trailer that hold for it
// (docs/formats/checkpoint.md).
#include <algorithm>
#include <span>

#include "ckpt/shard.h"
#include "fuzz/outcome.h"
#include "store/crc32c.h"
#include "store/memory.h"

namespace {

using namespace rw;

constexpr std::uint64_t kPayloadBytes = 4096;

std::uint32_t crc_of(const std::string& bytes) {
  return store::crc32c(std::as_bytes(std::span(bytes)));
}

template <class T>
void put(std::string& page, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    page += static_cast<char>((value >> (8 * i)) & 0xffU);
  }
}

void seal(std::string& page) {
  page.resize(ckpt::kPage - 4, '\0');
  put(page, crc_of(page));
}

std::string superblock() {
  std::string page = "RWSHARD1";
  put(page, std::uint32_t{1});
  page += std::string(16, 'u');
  put(page, std::uint64_t{1});  // step
  put(page, std::uint32_t{0});  // attempt
  put(page, std::uint32_t{0});  // rank
  put(page, std::uint32_t{1});  // world
  put(page, std::uint64_t{0});  // layout
  put(page, ckpt::kPage);
  put(page, kPayloadBytes);
  put(page, ckpt::kBlockBytes);
  put(page, std::uint32_t{1});
  seal(page);
  return page;
}

std::string shard(const std::string& footer) {
  std::string file = superblock() + std::string(kPayloadBytes, '\1');
  const std::uint64_t offset = file.size();
  file += footer;
  file.resize((file.size() + ckpt::kPage - 1) / ckpt::kPage * ckpt::kPage, '\0');
  std::string page = "RWTRAIL1";
  put(page, offset);
  put(page, static_cast<std::uint64_t>(footer.size()));
  put(page, crc_of(footer));
  put(page, static_cast<std::uint64_t>(file.size() + ckpt::kPage));
  put(page, crc_of(file));
  seal(page);
  return file + page;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::taken_or_refused([&] {
    const auto store = store::make_memory();
    store::write_whole(*store, "r00000.shard", shard(fuzz::text_of(data, size)));
    const ckpt::ShardReader reader(*store, "r00000.shard");
    for (const auto& record : reader.footer().index().tensors()) {
      const auto elems = static_cast<std::int64_t>(std::min<std::uint64_t>(record.bytes() / 4, 64));
      auto out = core::Tensor::empty({elems});
      fuzz::taken_or_refused([&] { reader.read(record, 0, out); });
    }
    reader.verify();
  });
}
