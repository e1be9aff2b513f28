// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::kernels {

/// Whether oneDNN's products of bf16 matrices run on bf16 instructions here: this CPU has AVX512_BF16 and
/// oneDNN makes such a product, both found out at the first call. It is asked where there are no tiles, which
/// are our own GEMM's (gemm.h). Without either the operands are converted to f32 in the kernel: by our GEMM
/// while it packs them, or block by block (converted.h) where that does not run. All add up in f32; their
/// bits differ.
bool native_bf16();

}  // namespace rw::kernels
