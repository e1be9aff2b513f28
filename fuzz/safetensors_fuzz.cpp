// Part of Ropewalk, MIT licence.
// A safetensors file: its header, and every tensor that the header promises.
#include "fuzz/outcome.h"
#include "store/memory.h"
#include "store/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return rw::fuzz::taken_or_refused([&] {
    const auto store = rw::store::make_memory();
    store->make_folders("m");
    rw::store::write_whole(*store, "m/model.safetensors", rw::fuzz::text_of(data, size));
    const rw::store::SafetensorsModel model(*store, "m");
    for (const auto& name : model.names()) {
      auto tensor = rw::core::Tensor::empty(model.shape(name));
      model.read_f32(name, tensor);
    }
  });
}
