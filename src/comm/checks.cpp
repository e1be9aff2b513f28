// Part of Ropewalk, MIT licence.
#include "comm/checks.h"

#include <fmt/format.h>

#include <vector>

#include "core/error.h"

namespace rw::comm {

using core::Error;
using core::ErrorKind;

void check_rank(const char* call, int rank, int size) {
  if (rank >= 0 && rank < size) return;
  throw Error(ErrorKind::kBug, fmt::format("{}: got rank {}, want 0 .. {}", call, rank, size - 1));
}

void check_tag(const char* call, int tag) {
  constexpr int kTags = 1 << 20;
  if (tag >= 0 && tag < kTags) return;
  throw Error(ErrorKind::kBug, fmt::format("{}: got tag {}, want 0 .. {}", call, tag, kTags - 1));
}

void check_f32(const char* call, const core::Tensor& tensor) {
  if (tensor.dtype() == core::DType::kF32) return;
  throw Error(ErrorKind::kShape, fmt::format("{}: got {}, want f32", call, tensor.text()));
}

void check_gather(const core::Tensor& mine, const core::Tensor& all, int size) {
  if (all.bytes() == mine.bytes() * static_cast<std::size_t>(size)) return;
  throw Error(ErrorKind::kShape, fmt::format("all_gather: got mine {}, all {}; want {} equal parts",
                                             mine.text(), all.text(), size));
}

void check_parts(const char* call, std::span<const core::Tensor> parts, int size) {
  bool alike = parts.size() == static_cast<std::size_t>(size);
  for (const auto& part : parts) alike = alike && part.dtype() == parts.front().dtype();
  if (alike) return;
  throw Error(ErrorKind::kShape,
              fmt::format("{}: got {} parts, want {} of one dtype", call, parts.size(), size));
}

void check_members(std::span<const int> members, int size) {
  std::vector<bool> seen(static_cast<std::size_t>(size), false);
  for (const int member : members) {
    check_rank("subgroup", member, size);
    if (seen[static_cast<std::size_t>(member)]) {
      throw Error(ErrorKind::kBug, fmt::format("subgroup: got rank {} twice", member));
    }
    seen[static_cast<std::size_t>(member)] = true;
  }
}

}  // namespace rw::comm
