// Part of Ropewalk, MIT licence.
#include "core/tensor.h"

namespace rw::core {
namespace {

template <class Fn>
void visit_any(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::kF32:
      return fn(TypeTag<float>{});
    case DType::kBF16:
      return fn(TypeTag<BF16>{});
    case DType::kI32:
      return fn(TypeTag<std::int32_t>{});
    case DType::kI64:
      return fn(TypeTag<std::int64_t>{});
    case DType::kU16:
      return fn(TypeTag<std::uint16_t>{});
    case DType::kU8:
      return fn(TypeTag<std::uint8_t>{});
    case DType::kF64:
      return fn(TypeTag<double>{});
    case DType::kF16:
      break;
  }
  throw Error(ErrorKind::kShape,
              std::string("got dtype ") + dtype_name(dtype) + ", which holds no host numbers");
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor out;
  out.shape_ = shape;
  out.dtype_ = dtype;
  out.device_ = device;
  out.buffer_ = std::make_shared<Buffer>(out.bytes(), device);
  return out;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor out = empty(shape, dtype, device);
  Stream stream(device);
  fill_zero(out, stream);
  stream.sync();
  return out;
}

Tensor Tensor::of(const Shape& shape, std::span<const float> values, DType dtype, Device device) {
  if (static_cast<std::int64_t>(values.size()) != shape.elems()) {
    throw Error(ErrorKind::kShape, "Tensor::of: got " + std::to_string(values.size()) +
                                       " values, want shape " + shape.text());
  }
  Tensor out = empty(shape, dtype, device);
  visit_any(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<T> host;
    host.reserve(values.size());
    for (const float v : values) host.push_back(static_cast<T>(v));
    copy_from_host(host.data(), host.size() * sizeof(T), out);
  });
  return out;
}

Tensor Tensor::of(const Shape& shape, std::initializer_list<float> values, DType dtype,
                  Device device) {
  return of(shape, std::span<const float>(values.begin(), values.size()), dtype, device);
}

Tensor Tensor::of_ints(const Shape& shape, std::span<const std::int32_t> values, Device device) {
  if (static_cast<std::int64_t>(values.size()) != shape.elems()) {
    throw Error(ErrorKind::kShape, "Tensor::of_ints: got " + std::to_string(values.size()) +
                                       " values, want shape " + shape.text());
  }
  Tensor out = empty(shape, DType::kI32, device);
  copy_from_host(values.data(), values.size_bytes(), out);
  return out;
}

Tensor Tensor::wrap(void* address, const Shape& shape, DType dtype, Device device) {
  Tensor out;
  out.borrowed_ = address;
  out.shape_ = shape;
  out.dtype_ = dtype;
  out.device_ = device;
  return out;
}

Tensor Tensor::view(const Shape& shape) const {
  if (shape.elems() != elems()) {
    throw Error(ErrorKind::kShape,
                "view: got " + text() + ", want the elements of " + shape.text());
  }
  Tensor out = *this;
  out.shape_ = shape;
  return out;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() == 0 || begin < 0 || end < begin || end > shape_[0]) {
    throw Error(ErrorKind::kShape, "rows: got [" + std::to_string(begin) + ", " +
                                       std::to_string(end) + ") of " + text());
  }
  Shape shape{end - begin};
  for (int i = 1; i < shape_.rank(); ++i) shape.push_back(shape_[i]);
  Tensor out = *this;
  out.shape_ = shape;
  const std::int64_t row_elems = shape_[0] == 0 ? 0 : elems() / shape_[0];
  const std::size_t skipped = static_cast<std::size_t>(begin * row_elems) * dtype_bytes(dtype_);
  if (buffer_ != nullptr) {
    out.offset_ += skipped;
  } else {
    out.borrowed_ = static_cast<char*>(borrowed_) + skipped;
  }
  return out;
}

Tensor Tensor::flat(std::int64_t begin, std::int64_t end) const {
  return view({elems()}).rows(begin, end);
}

std::string Tensor::text() const { return std::string(dtype_name(dtype_)) + " " + shape_.text(); }

void Tensor::require_dtype(DType wanted) const {
  if (dtype_ != wanted) {
    throw Error(ErrorKind::kShape, "data: got " + text() + ", want dtype " + dtype_name(wanted));
  }
}

std::vector<float> to_floats(const Tensor& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.elems()));
  visit_any(tensor.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<T> host(out.size());
    copy_to_host(tensor, host.data(), host.size() * sizeof(T));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(host[i]);
  });
  return out;
}

void copy(const Tensor& from, Tensor& to, Stream& stream) {
  if (from.bytes() != to.bytes()) {
    throw Error(ErrorKind::kShape,
                "copy: got " + from.text() + " into " + to.text() + ", want equal bytes");
  }
  const DeviceKind kind =
      from.device().kind != DeviceKind::kCpu ? from.device().kind : to.device().kind;
  backend(kind).copy(to.address(), from.address(), from.bytes(), stream.native());
}

void copy_to_host(const Tensor& from, void* to, std::size_t bytes) {
  if (from.bytes() != bytes) {
    throw Error(ErrorKind::kShape,
                "copy_to_host: got " + from.text() + ", want " + std::to_string(bytes) + " bytes");
  }
  Stream stream(from.device());
  backend(from.device().kind).copy(to, from.address(), bytes, stream.native());
  stream.sync();
}

void copy_from_host(const void* from, std::size_t bytes, Tensor& to) {
  if (to.bytes() != bytes) {
    throw Error(ErrorKind::kShape, "copy_from_host: got " + std::to_string(bytes) +
                                       " bytes, want those of " + to.text());
  }
  Stream stream(to.device());
  backend(to.device().kind).copy(to.address(), from, bytes, stream.native());
  stream.sync();
}

void fill_zero(Tensor& tensor, Stream& stream) {
  backend(tensor.device().kind).fill(tensor.address(), 0, tensor.bytes(), stream.native());
}

void require_alike(const char* op,
                   std::initializer_list<std::pair<const char*, const Tensor*>> tensors) {
  const Tensor& first = *tensors.begin()->second;
  bool alike = true;
  std::string got;
  for (const auto& [name, tensor] : tensors) {
    alike = alike && tensor->shape() == first.shape() && tensor->dtype() == first.dtype() &&
            tensor->device() == first.device();
    got += (got.empty() ? "" : ", ") + std::string(name) + " " + tensor->text();
  }
  if (!alike)
    throw Error(ErrorKind::kShape,
                std::string(op) + ": got " + got + "; want one shape, dtype and device");
}

void require(const char* op, const char* name, const Tensor& tensor, const Shape& shape,
             DType dtype) {
  if (tensor.shape() == shape && tensor.dtype() == dtype) return;
  throw Error(ErrorKind::kShape, std::string(op) + ": got " + name + " " + tensor.text() +
                                     "; want " + dtype_name(dtype) + " " + shape.text());
}

}  // namespace rw::core
