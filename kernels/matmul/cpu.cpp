// Part of Ropewalk, MIT licence.
#include <omp.h>

#include <algorithm>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/matmul/converted.h"
#include "kernels/matmul/gemm.h"
#include "kernels/matmul/native_bf16.h"
#include "kernels/matmul/twins.h"
#include "kernels/parallel.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

struct Key {
  MatmulSizes sizes;
  Transpose a, b;
  Accumulate c;
  core::DType in, out;  // of a and b; of c
  int threads;          // oneDNN fixes the division of work when a product is made
  bool operator==(const Key&) const = default;
};

/// One compiled product and the three memories it is called with; only their addresses change.
struct Product {
  Key key;
  dnnl::matmul call;
  dnnl::memory a, b, c;
};

dnnl::memory::desc matrix(std::int64_t rows, std::int64_t columns, Transpose transpose,
                          core::DType dtype) {
  using Memory = dnnl::memory;
  const auto tag = transpose == Transpose::kYes ? Memory::format_tag::ba : Memory::format_tag::ab;
  const auto type = dtype == core::DType::kBF16 ? Memory::data_type::bf16 : Memory::data_type::f32;
  return {{rows, columns}, type, tag};
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

std::unique_ptr<Product> make_product(const Key& key) {
  const auto [m, n, k] = key.sizes;
  const auto a = matrix(m, k, key.a, key.in);
  const auto b = matrix(k, n, key.b, key.in);
  const auto c = matrix(m, n, Transpose::kNo, key.out);
  dnnl::primitive_attr attributes;
  if (key.c == Accumulate::kYes) {
    dnnl::post_ops after;
    after.append_sum(1.0F);
    attributes.set_post_ops(after);
  }
  const dnnl::engine& engine = cpu_engine();
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes, engine);
  void* const nothing = DNNL_MEMORY_NONE;
  return std::make_unique<Product>(
      Product{key, dnnl::matmul(description), dnnl::memory(a, engine, nothing),
              dnnl::memory(b, engine, nothing), dnnl::memory(c, engine, nothing)});
}

/// The products one thread has used, latest first. A training step uses a few dozen; serving asks
/// for ever new row counts, so the oldest go.
class ProductCache {
 public:
  Product& find(const Key& key) {
    auto found = std::find_if(products_.begin(), products_.end(),
                              [&](const auto& product) { return product->key == key; });
    if (found == products_.end()) {
      if (products_.size() == kMost) products_.pop_back();
      products_.push_back(make_product(key));
      found = products_.end() - 1;
    }
    std::rotate(products_.begin(), found, found + 1);
    return *products_.front();
  }
  dnnl::stream& stream() { return stream_; }

 private:
  static constexpr std::size_t kMost = 256;
  std::vector<std::unique_ptr<Product>> products_;
  dnnl::stream stream_{cpu_engine()};
};

ProductCache& cache_of_this_thread() {
  thread_local ProductCache cache;
  return cache;
}

template <class T>
GemmMatrix<T> operand(const Tensor& x, Transpose transpose) {
  return {x.data<T>(), x.shape()[1], transpose};
}

/// A bf16 result of longer sums than our GEMM keeps in registers: block by block through f32.
void gemm_and_round(GemmEngine engine, const GemmSizes& by, const GemmMatrix<BF16>& a,
                    const GemmMatrix<BF16>& b, BF16* c) {
  constexpr std::int64_t kEdge = 1024;
  const core::Buffer memory(kEdge * kEdge * sizeof(float), core::Device{});
  auto* sums = static_cast<float*>(memory.address());
  const auto from = [](const GemmMatrix<BF16>& x, std::int64_t first, Transpose along_rows) {
    const std::int64_t step = x.transpose == along_rows ? x.stride : 1;
    return GemmMatrix<BF16>{x.data + first * step, x.stride, x.transpose};
  };
  for (std::int64_t row = 0; row < by.m; row += kEdge) {
    for (std::int64_t column = 0; column < by.n; column += kEdge) {
      const std::int64_t rows = std::min(kEdge, by.m - row);
      const std::int64_t columns = std::min(kEdge, by.n - column);
      gemm(engine, {rows, columns, by.k}, from(a, row, Transpose::kNo),
           from(b, column, Transpose::kYes), sums, columns);
      BF16* to = c + row * by.n + column;
      for_rows(rows, columns, [=, n = by.n](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          row_convert(sums + i * columns, to + i * n, columns);
        }
      });
    }
  }
}

void own_gemm(GemmEngine engine, const Tensor& a, const Tensor& b, Tensor& c,
              const MatmulSizes& sizes, MatmulOptions options) {
  const GemmSizes by{sizes.m, sizes.n, sizes.k, options.c};
  core::visit_float(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto first = operand<T>(a, options.a);
    const auto second = operand<T>(b, options.b);
    if (c.dtype() == core::DType::kF32) {
      gemm(engine, by, first, second, c.data<float>(), sizes.n);
    } else if constexpr (std::is_same_v<T, BF16>) {
      if (sizes.k <= gemm_longest_one_pass(engine)) {
        gemm(engine, by, first, second, c.data<BF16>(), sizes.n);
      } else {
        gemm_and_round(engine, by, first, second, c.data<BF16>());
      }
    }
  });
}

void matmul_cpu(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                MatmulOptions options, Stream& /*stream*/) try {
  if (const auto engine = gemm_engine(a.dtype())) {
    own_gemm(*engine, a, b, c, sizes, options);
    return;
  }
  if (a.dtype() == core::DType::kBF16 && !native_bf16()) {
    matmul_converted(a, b, c, sizes, options);
    return;
  }
  ProductCache& cache = cache_of_this_thread();
  Product& product = cache.find(
      {sizes, options.a, options.b, options.c, a.dtype(), c.dtype(), omp_get_max_threads()});
  product.a.set_data_handle(a.address());
  product.b.set_data_handle(b.address());
  product.c.set_data_handle(c.address());
  product.call.execute(
      cache.stream(),
      {{DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.b}, {DNNL_ARG_DST, product.c}});
  cache.stream().wait();
} catch (const dnnl::error& error) {
  throw core::Error(core::ErrorKind::kDevice, std::string("matmul: oneDNN failed: ") +
                                                  error.what() + " (status " +
                                                  std::to_string(static_cast<int>(error.status)) +
                                                  ") for a " + a.text() + ", b " + b.text());
}

}  // namespace

const MatmulTwins kMatmulCpu{matmul_cpu};

}  // namespace rw::kernels
