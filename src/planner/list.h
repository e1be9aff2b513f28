// Part of Ropewalk, MIT licence.
#pragma once
#include <concepts>
#include <cstddef>
#include <vector>

namespace rw::planner {

/// A vector whose index may be any integer: nodes, stages and positions are int in problems.
template <class T>
class List : public std::vector<T> {
 public:
  using Base = std::vector<T>;
  using Base::Base;
  template <std::integral Index>
  T& operator[](Index i) {
    return Base::operator[](static_cast<std::size_t>(i));
  }
  template <std::integral Index>
  const T& operator[](Index i) const {
    return Base::operator[](static_cast<std::size_t>(i));
  }
  /// Its number of elements as an int.
  int count() const { return static_cast<int>(Base::size()); }
};

/// `count` times `value`.
template <class T>
List<T> filled(int count, const T& value) {
  return List<T>(static_cast<std::size_t>(count), value);
}

}  // namespace rw::planner
