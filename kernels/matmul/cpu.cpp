// Part of Ropewalk, MIT licence.
#include <omp.h>

#include <algorithm>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "kernels/matmul/gemm.h"
#include "kernels/matmul/twins.h"

namespace rw::kernels {
namespace {

struct Key {
  MatmulSizes sizes;
  Transpose a, b;
  Accumulate c;
  int threads;  // oneDNN fixes the division of work when a product is made
  bool operator==(const Key&) const = default;
};

/// One compiled product and the three memories it is called with; only their addresses change.
struct Product {
  Key key;
  dnnl::matmul call;
  dnnl::memory a, b, c;
};

dnnl::memory::desc matrix(std::int64_t rows, std::int64_t columns, Transpose transpose) {
  using Memory = dnnl::memory;
  const auto tag = transpose == Transpose::kYes ? Memory::format_tag::ba : Memory::format_tag::ab;
  return {{rows, columns}, Memory::data_type::f32, tag};
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

std::unique_ptr<Product> make_product(const Key& key) {
  const auto [m, n, k] = key.sizes;
  const auto a = matrix(m, k, key.a);
  const auto b = matrix(k, n, key.b);
  const auto c = matrix(m, n, Transpose::kNo);
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

void own_gemm(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
              MatmulOptions options) {
  gemm({sizes.m, sizes.n, sizes.k, 1.0F, options.c}, operand<float>(a, options.a),
       operand<float>(b, options.b), c.data<float>(), sizes.n);
}

void matmul_cpu(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                MatmulOptions options, Stream& /*stream*/) try {
  if (gemm_runs_here()) {
    own_gemm(a, b, c, sizes, options);
    return;
  }
  ProductCache& cache = cache_of_this_thread();
  Product& product = cache.find({sizes, options.a, options.b, options.c, omp_get_max_threads()});
  product.a.set_data_handle(a.data<float>());
  product.b.set_data_handle(b.data<float>());
  product.c.set_data_handle(c.data<float>());
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
