// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::kernels {

/// Whether products of bf16 matrices run on bf16 instructions (AVX512_BF16, AMX) here: this CPU has
/// them and oneDNN makes such a product, both found out at the first call. Otherwise the operands are
/// converted to f32 in the kernel: by our own GEMM while it packs them (gemm.h), or block by block
/// (converted.h) where that does not run. All add up in f32; their bits differ.
bool native_bf16();

}  // namespace rw::kernels
