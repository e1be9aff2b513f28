// Part of Ropewalk, MIT licence.
#pragma once
#include <initializer_list>
#include <string>

#include "core/op_times.h"
#include "core/tensor.h"

namespace rw::kernels {

/// One argument of an operation and what it has to be.
struct Argument {
  const char* name;
  const core::Tensor* tensor;
  core::Shape shape;
  core::DType dtype = core::DType::kF32;
};

/// Throws Error{kShape} naming the first argument that is undefined, has another shape or dtype, or
/// lies on another device than the stream's.
void require_arguments(const char* op, const core::Stream& stream,
                       std::initializer_list<Argument> arguments);

/// The dtype of an argument that may be f32 or bf16. Throws Error{kShape} "op: got name i32 [2]; want
/// f32 or bf16" for any other, and the same as require_arguments when it is undefined. On a CUDA
/// device, whose twins compute in f32 only so far: Error{kShape} "op: got name bf16 [2] on cuda:0;
/// want f32, bf16 is not there on this device yet".
core::DType float_dtype(const char* op, const char* name, const core::Tensor& tensor);

/// Throws Error{kShape} "op: got name f32 [2]; want 2 dimensions" unless it has that many.
void require_rank(const char* op, const char* name, const core::Tensor& tensor, int rank);

/// Throws Error{kShape} "op: got WHAT" with what is wanted.
[[noreturn]] void refuse(const std::string& op, const std::string& got, const std::string& want);

/// Whether two tensors share a byte.
bool overlap(const core::Tensor& a, const core::Tensor& b);

}  // namespace rw::kernels
