// Part of Ropewalk, MIT licence.
// A manifest: as it is, and, where it is a message at all, with the CRC that it wants.
#include "ckpt/folder.h"
#include "ckpt/reader.h"
#include "fuzz/outcome.h"
#include "store/memory.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rw;
  const std::string step = "c/step-000000000001-0";
  const auto store = store::make_memory();
  store->make_folders(step);
  const std::string text = fuzz::text_of(data, size);
  fuzz::taken_or_refused([&] {
    store::write_whole(*store, step + "/" + ckpt::kManifestName, text);
    ckpt::read_manifest(*store, step);
  });
  ckpt::proto::Manifest manifest;
  if (!manifest.ParseFromString(text)) return 0;
  return fuzz::taken_or_refused([&] {
    ckpt::write_manifest(*store, step, manifest);
    const ckpt::CheckpointReader reader(*store, step);
    reader.verify();
  });
}
