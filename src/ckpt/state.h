// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckpt/shard.h"
#include "core/method.h"

namespace rw::ckpt {

/// Collects what this rank writes: the tensors it owns, in the order of (name, kind), and the small
/// state. Tensors are other names of the method's memory.
class CollectState final : public core::StateVisitor {
 public:
  void tensor(const core::StateTensor& what, core::Tensor& tensor) override;
  void number(std::string_view key, std::uint64_t& value) override;
  void text(std::string_view key, std::string& value) override;
  /// Call once after the walk.
  void finish();

  std::vector<core::Tensor> tensors;
  proto::RankLayout layout;
  proto::RankMeta meta;

 private:
  struct Held {
    proto::TensorRecord record;
    core::Tensor tensor;
  };
  std::vector<Held> held_;
};

/// Where a tensor of a checkpoint, or a range of its elements, lies.
struct TensorPlace {
  std::uint32_t rank = 0;  // whose shard
  proto::TensorRecord record;
};

/// All tensors of a checkpoint, by name, kind and first element.
class TensorIndex {
 public:
  explicit TensorIndex(const proto::Layout& layout);
  /// The ranges of one tensor, ascending; empty: not in the checkpoint.
  std::span<const TensorPlace> find(const std::string& name, const std::string& kind) const;
  const std::vector<TensorPlace>& all() const { return places_; }

 private:
  std::vector<TensorPlace> places_;  // sorted
};

core::Shape shape_of(const proto::TensorRecord& record);
/// Throws Error{kDataMalformed} on a name that no dtype has.
core::DType dtype_of(const proto::TensorRecord& record);
/// Elements [begin, end) of the whole tensor that a record holds. Throws Error{kDataMalformed} when
/// they do not fit its shape and bytes.
struct ElemRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
ElemRange range_of(const proto::TensorRecord& record);

}  // namespace rw::ckpt
