// Part of Ropewalk, MIT licence.
#include "ckpt/state.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/error.h"

namespace rw::ckpt {

using core::DType;
using core::Error;
using core::ErrorKind;

namespace {

bool comes_first(const proto::TensorRecord& a, const proto::TensorRecord& b) {
  return std::forward_as_tuple(a.logical_name(), a.kind(), a.flat_begin()) <
         std::forward_as_tuple(b.logical_name(), b.kind(), b.flat_begin());
}

}  // namespace

void CollectState::tensor(const core::StateTensor& what, core::Tensor& tensor) {
  if (!what.owned) return;
  proto::TensorRecord record;
  record.set_logical_name(what.name);
  record.set_kind(what.kind);
  record.set_dtype(core::dtype_name(tensor.dtype()));
  const core::Shape& shape = what.shape.rank() > 0 ? what.shape : tensor.shape();
  for (const std::int64_t size : shape) record.add_global_shape(size);
  if (tensor.elems() != shape.elems()) {
    record.set_flat_begin(static_cast<std::uint64_t>(what.first));
    record.set_flat_end(static_cast<std::uint64_t>(what.first + tensor.elems()));
  }
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
  std::sort(held_.begin(), held_.end(),
            [](const Held& a, const Held& b) { return comes_first(a.record, b.record); });
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
    return comes_first(a.record, b.record);
  });
}

std::span<const TensorPlace> TensorIndex::find(const std::string& name,
                                               const std::string& kind) const {
  const std::pair<const std::string&, const std::string&> key(name, kind);
  const auto key_of = [](const TensorPlace& place) {
    return std::pair<const std::string&, const std::string&>(place.record.logical_name(),
                                                             place.record.kind());
  };
  const auto first = std::partition_point(places_.begin(), places_.end(),
                                          [&](const auto& place) { return key_of(place) < key; });
  const auto last = std::partition_point(first, places_.end(),
                                         [&](const auto& place) { return !(key < key_of(place)); });
  return {places_.data() + (first - places_.begin()), static_cast<std::size_t>(last - first)};
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

ElemRange range_of(const proto::TensorRecord& record) {
  const std::int64_t elems = shape_of(record).elems();
  const auto begin = static_cast<std::int64_t>(record.flat_begin());
  const auto end = record.flat_end() == 0 ? elems : static_cast<std::int64_t>(record.flat_end());
  const auto width = static_cast<std::int64_t>(core::dtype_bytes(dtype_of(record)));
  if (begin < 0 || begin > end || end > elems ||
      static_cast<std::int64_t>(record.bytes()) != (end - begin) * width) {
    throw Error(ErrorKind::kDataMalformed,
                "checkpoint: " + record.logical_name() + " (" + record.kind() +
                    "): the layout's range does not fit its shape and bytes");
  }
  return {begin, end};
}

}  // namespace rw::ckpt
