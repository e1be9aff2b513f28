// Part of Ropewalk, MIT licence.
// model.safetensors.index.json, beside two shards of one tensor each.
#include "fuzz/outcome.h"
#include "store/memory.h"
#include "store/safetensors.h"

namespace {

using namespace rw;

void put_shard(store::Store& store, const std::string& file, const std::string& name) {
  store::SafetensorsEntry entry;
  entry.name = name;
  entry.shape = {2};
  store::SafetensorsWriter writer(store, "m/" + file, {entry}, {});
  writer.write(name, core::Tensor::zeros({2}));
  writer.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return rw::fuzz::taken_or_refused([&] {
    const auto store = rw::store::make_memory();
    store->make_folders("m");
    put_shard(*store, "model-00001-of-00002.safetensors", "a");
    put_shard(*store, "model-00002-of-00002.safetensors", "b");
    rw::store::write_whole(*store, "m/model.safetensors.index.json", rw::fuzz::text_of(data, size));
    const rw::store::SafetensorsModel model(*store, "m");
    for (const auto& name : model.names()) model.shape(name);
  });
}
