// Part of Ropewalk, MIT licence.
#include "kernels/matmul/native_bf16.h"

#include <oneapi/dnnl/dnnl.hpp>
#include <string>

namespace rw::kernels {
namespace {

/// On CPUs with AVX-512 alone oneDNN makes bf16 products out of many f32 instructions, and its
/// reference code is slower still: neither counts.
bool find_out() try {
  using Memory = dnnl::memory;
  constexpr auto kNeeded = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  if ((static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kNeeded) != kNeeded) return false;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const auto matrix = [](Memory::data_type type) {
    return Memory::desc({64, 64}, type, Memory::format_tag::ab);
  };
  const auto bf16 = matrix(Memory::data_type::bf16);
  const dnnl::matmul::primitive_desc description(
      dnnl::matmul::desc(bf16, bf16, matrix(Memory::data_type::f32)), engine);
  return std::string(description.impl_info_str()).rfind("ref", 0) != 0;
} catch (const dnnl::error&) {
  return false;
}

}  // namespace

bool native_bf16() {
  static const bool kHere = find_out();
  return kHere;
}

}  // namespace rw::kernels
