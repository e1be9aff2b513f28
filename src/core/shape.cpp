// Part of Ropewalk, MIT licence.
#include "core/shape.h"

#include "core/error.h"

namespace rw::core {

Shape::Shape(std::initializer_list<std::int64_t> sizes) {
  for (const auto size : sizes) push_back(size);
}

void Shape::push_back(std::int64_t size) {
  if (rank_ == kMaxRank) throw Error(ErrorKind::kShape, "Shape: more than 5 dimensions");
  if (size < 0)
    throw Error(ErrorKind::kShape, "Shape: got size " + std::to_string(size) + ", want >= 0");
  sizes_[static_cast<std::size_t>(rank_++)] = size;
}

std::int64_t Shape::elems() const {
  std::int64_t out = 1;
  for (const auto size : *this) out *= size;
  return out;
}

std::string Shape::text() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += (i == 0 ? "" : ", ") + std::to_string((*this)[i]);
  return out + "]";
}

}  // namespace rw::core
