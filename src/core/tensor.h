// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "core/stream.h"

namespace rw::core {

/// A contiguous, row-major array on one device. A copy of a Tensor is another name for the same
/// memory, as are view() and rows(); the memory goes when the last name goes, or, to come again,
/// with give_back(). Code above kernels, comm and store never dereferences address(): it moves
/// numbers with the copy functions below.
class Tensor {
 public:
  Tensor() = default;  // defined() == false
  static Tensor empty(const Shape& shape, DType dtype = DType::kF32, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype = DType::kF32, Device device = {});
  static Tensor like(const Tensor& other) {
    return empty(other.shape(), other.dtype(), other.device());
  }
  /// From numbers, converted to `dtype` (any of f32, bf16, f64, i32, i64, u16, u8). Throws
  /// Error{kShape} on a wrong count.
  static Tensor of(const Shape& shape, std::span<const float> values, DType dtype = DType::kF32,
                   Device device = {});
  static Tensor of(const Shape& shape, std::initializer_list<float> values,
                   DType dtype = DType::kF32, Device device = {});
  static Tensor of_ints(const Shape& shape, std::span<const std::int32_t> values,
                        Device device = {});
  /// Borrows memory that the caller keeps alive.
  static Tensor wrap(void* address, const Shape& shape, DType dtype, Device device = {});

  bool defined() const { return buffer_ != nullptr || borrowed_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  std::int64_t elems() const { return shape_.elems(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elems()) * dtype_bytes(dtype_); }
  /// nullptr when undefined or given back.
  void* address() const {
    if (buffer_ == nullptr) return borrowed_;
    void* const begin = buffer_->address();
    return begin == nullptr ? nullptr : static_cast<char*>(begin) + offset_;
  }
  /// Typed device address; throws Error{kShape} when T is not the dtype.
  template <class T>
  T* data() const {
    require_dtype(dtype_of<T>());
    return static_cast<T*>(address());
  }
  /// Gives the memory back while all its names stay: without memory until take() gives them some,
  /// with undefined contents. For what is needed in a part of a step only. Not for borrowed memory.
  void give_back() { buffer_->give_back(); }
  void take() { buffer_->take(); }
  /// The same memory under another shape with the same number of elements.
  Tensor view(const Shape& shape) const;
  /// Rows [begin, end) of the outermost dimension, the same memory.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// Elements [begin, end) in row-major order as a 1-d tensor, the same memory.
  Tensor flat(std::int64_t begin, std::int64_t end) const;
  std::string text() const;  // "f32 [2, 3]"

 private:
  void require_dtype(DType wanted) const;
  std::shared_ptr<Buffer>
      buffer_;  // shared by all names (views) of one block of memory; null when borrowed
  std::size_t offset_ = 0;    // bytes into the buffer
  void* borrowed_ = nullptr;  // where there is no buffer
  Shape shape_;
  DType dtype_ = DType::kF32;
  Device device_;
};

/// Host numbers as f32, whatever the (float or integer) dtype. Waits for the device.
std::vector<float> to_floats(const Tensor& tensor);
/// Raw copies between tensors of equal bytes() on any two devices. copy() is queued on `stream`.
void copy(const Tensor& from, Tensor& to, Stream& stream);
void copy_to_host(const Tensor& from, void* to, std::size_t bytes);    // waits
void copy_from_host(const void* from, std::size_t bytes, Tensor& to);  // waits
void fill_zero(Tensor& tensor, Stream& stream);

/// Throws Error{kShape} "op: got a f32 [1, 2], b f32 [2, 1]; want one shape, dtype and device"
/// unless all are alike.
void require_alike(const char* op,
                   std::initializer_list<std::pair<const char*, const Tensor*>> tensors);
/// Throws Error{kShape} "op: got name f32 [1, 2]; want f32 [2, 2]" unless shape and dtype are
/// these.
void require(const char* op, const char* name, const Tensor& tensor, const Shape& shape,
             DType dtype = DType::kF32);

}  // namespace rw::core
