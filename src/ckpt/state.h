// Part of Ropewalk, MIT licence.
#pragma once
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

/// Where a tensor of a checkpoint lies.
struct TensorPlace {
  std::uint32_t rank = 0;  // whose shard
  proto::TensorRecord record;
};

/// All tensors of a checkpoint, by "name kind".
class TensorIndex {
 public:
  explicit TensorIndex(const proto::Layout& layout);
  /// nullptr: not in the checkpoint.
  const TensorPlace* find(const std::string& name, const std::string& kind) const;
  const std::vector<TensorPlace>& all() const { return places_; }

 private:
  std::vector<TensorPlace> places_;  // sorted by (name, kind)
};

core::Shape shape_of(const proto::TensorRecord& record);
/// Throws Error{kDataMalformed} on a name that no dtype has.
core::DType dtype_of(const proto::TensorRecord& record);

}  // namespace rw::ckpt
