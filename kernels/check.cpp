// Part of Ropewalk, MIT licence.
#include "kernels/check.h"

#include "core/error.h"

namespace rw::kernels {
namespace {

void require_defined(const char* op, const char* name, const core::Tensor& tensor) {
  if (!tensor.defined()) refuse(op, std::string(name) + " undefined", "a tensor");
}

}  // namespace

void refuse(const std::string& op, const std::string& got, const std::string& want) {
  throw core::Error(core::ErrorKind::kShape, op + ": got " + got + "; want " + want);
}

void require_arguments(const char* op, const core::Stream& stream,
                       std::initializer_list<Argument> arguments) {
  for (const Argument& argument : arguments) {
    require_defined(op, argument.name, *argument.tensor);
    core::require(op, argument.name, *argument.tensor, argument.shape, argument.dtype);
    if (!(argument.tensor->device() == stream.device())) {
      refuse(op, std::string(argument.name) + " on " + argument.tensor->device().text(),
             stream.device().text() + ", the stream's device");
    }
    core::note_op_bytes(static_cast<std::int64_t>(argument.tensor->bytes()));
  }
}

core::DType float_dtype(const char* op, const char* name, const core::Tensor& tensor) {
  require_defined(op, name, tensor);
  if (tensor.dtype() == core::DType::kF32) return core::DType::kF32;
  if (tensor.dtype() != core::DType::kBF16) {
    refuse(op, std::string(name) + " " + tensor.text(), "f32 or bf16");
  }
  if (tensor.device().kind != core::DeviceKind::kCpu) {
    refuse(op, std::string(name) + " " + tensor.text() + " on " + tensor.device().text(),
           "f32, bf16 is not there on this device yet");
  }
  return core::DType::kBF16;
}

void require_rank(const char* op, const char* name, const core::Tensor& tensor, int rank) {
  require_defined(op, name, tensor);
  if (tensor.shape().rank() != rank) {
    refuse(op, std::string(name) + " " + tensor.text(), std::to_string(rank) + " dimensions");
  }
}

bool overlap(const core::Tensor& a, const core::Tensor& b) {
  const auto* a_begin = static_cast<const std::byte*>(a.address());
  const auto* b_begin = static_cast<const std::byte*>(b.address());
  return a.device() == b.device() && a_begin < b_begin + b.bytes() && b_begin < a_begin + a.bytes();
}

}  // namespace rw::kernels
