// Part of Ropewalk, MIT licence.
#include "ckpt/state.h"

#include <algorithm>
#include <tuple>

#include "core/error.h"

namespace rw::ckpt {

using core::DType;
using core::Error;
using core::ErrorKind;

void CollectState::tensor(const core::StateTensor& what, core::Tensor& tensor) {
  if (!what.owned) return;
  proto::TensorRecord record;
  record.set_logical_name(what.name);
  record.set_kind(what.kind);
  record.set_dtype(core::dtype_name(tensor.dtype()));
  for (const std::int64_t size : tensor.shape()) record.add_global_shape(size);
  record.set_bytes(tensor.bytes());
  held_.push_back({record, tensor});
}

void CollectState::number(std::string_view key, std::uint64_t& value) {
  (*meta.mutable_numbers())[std::string(key)] = value;
}

void CollectState::text(std::string_view key, std::string& value) {
  (*meta.mutable_texts())[std::string(key)] = value;
}

void CollectState::finish() {
  std::sort(held_.begin(), held_.end(), [](const Held& a, const Held& b) {
    return std::forward_as_tuple(a.record.logical_name(), a.record.kind()) <
           std::forward_as_tuple(b.record.logical_name(), b.record.kind());
  });
  for (Held& held : held_) {
    *layout.add_tensors() = held.record;
    tensors.push_back(held.tensor);
  }
  place_records(layout);
}

TensorIndex::TensorIndex(const proto::Layout& layout) {
  for (const auto& rank : layout.ranks()) {
    for (const auto& record : rank.tensors()) places_.push_back({rank.rank(), record});
  }
  std::sort(places_.begin(), places_.end(), [](const TensorPlace& a, const TensorPlace& b) {
    return std::forward_as_tuple(a.record.logical_name(), a.record.kind()) <
           std::forward_as_tuple(b.record.logical_name(), b.record.kind());
  });
}

const TensorPlace* TensorIndex::find(const std::string& name, const std::string& kind) const {
  const auto found = std::lower_bound(
      places_.begin(), places_.end(), std::tie(name, kind),
      [](const TensorPlace& place, const std::tuple<const std::string&, const std::string&>& key) {
        return std::forward_as_tuple(place.record.logical_name(), place.record.kind()) < key;
      });
  if (found == places_.end() || found->record.logical_name() != name ||
      found->record.kind() != kind) {
    return nullptr;
  }
  return &*found;
}

core::Shape shape_of(const proto::TensorRecord& record) {
  core::Shape out;
  if (record.global_shape_size() > core::Shape::kMaxRank) {
    throw Error(ErrorKind::kDataMalformed,
                "checkpoint: " + record.logical_name() + " has too many dimensions");
  }
  for (const std::int64_t size : record.global_shape()) out.push_back(size);
  return out;
}

core::DType dtype_of(const proto::TensorRecord& record) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI32, DType::kI64,
                            DType::kU16, DType::kU8, DType::kF64}) {
    if (record.dtype() == core::dtype_name(dtype)) return dtype;
  }
  throw Error(ErrorKind::kDataMalformed,
              "checkpoint: " + record.logical_name() + " has the unknown dtype " + record.dtype());
}

}  // namespace rw::ckpt
