// Part of Ropewalk, MIT licence.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace rw::core {

/// Sizes of a tensor, outermost first; at most 5 dimensions, no allocation.
class Shape {
 public:
  static constexpr int kMaxRank = 5;
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes);
  int rank() const { return rank_; }
  /// Size of dimension i; negative i counts from the end.
  std::int64_t operator[](int i) const {
    return sizes_[static_cast<std::size_t>(i < 0 ? rank_ + i : i)];
  }
  void push_back(std::int64_t size);
  std::int64_t elems() const;
  const std::int64_t* begin() const { return sizes_.data(); }
  const std::int64_t* end() const { return sizes_.data() + rank_; }
  bool operator==(const Shape& other) const = default;
  std::string text() const;  // "[2, 3]"

 private:
  std::array<std::int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

}  // namespace rw::core
