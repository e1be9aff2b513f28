// Part of Ropewalk, MIT licence.
#include <cublasLt.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/handle.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/matmul/twins.h"

namespace rw::kernels {
namespace {

using cuda::check;

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

template <class T, cublasStatus_t (*kDestroy)(T)>
struct LtPolicy {
  using Native = T;
  static T none() { return nullptr; }
  static void close(T native) noexcept { kDestroy(native); }
};
using Description = core::Handle<LtPolicy<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using MatrixLayout = core::Handle<LtPolicy<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;
using Preference =
    core::Handle<LtPolicy<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>>;
using LtHandle = core::Handle<LtPolicy<cublasLtHandle_t, cublasLtDestroy>>;

struct Key {
  MatmulSizes sizes;
  Transpose a, b;
  Accumulate c;
  bool operator==(const Key&) const = default;
};

/// One product, ready to run. cuBLASLt counts columns first: cᵀ = op(b)ᵀ · op(a)ᵀ.
struct Product {
  Key key;
  Description description;
  MatrixLayout first, second, result;
  cublasLtMatmulAlgo_t algorithm{};
};

MatrixLayout layout(std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t out = nullptr;
  check(cublasLtMatrixLayoutCreate(&out, CUDA_R_32F, static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), rows),
        "cublasLtMatrixLayoutCreate");
  return MatrixLayout(out);
}

Description describe(const Key& key) {
  cublasLtMatmulDesc_t raw = nullptr;
  check(cublasLtMatmulDescCreate(&raw, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
  Description out(raw);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, Transpose transpose) {
    const cublasOperation_t operation = transpose == Transpose::kYes ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(raw, attribute, &operation, sizeof operation),
          "cublasLtMatmulDescSetAttribute");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, key.b);
  set(CUBLASLT_MATMUL_DESC_TRANSB, key.a);
  return out;
}

std::unique_ptr<Product> make_product(cublasLtHandle_t handle, const Key& key) {
  const auto [m, n, k] = key.sizes;
  auto out = std::make_unique<Product>();
  out->key = key;
  out->description = describe(key);
  out->first = key.b == Transpose::kYes ? layout(k, n) : layout(n, k);
  out->second = key.a == Transpose::kYes ? layout(m, k) : layout(k, m);
  out->result = layout(n, m);
  cublasLtMatmulPreference_t raw = nullptr;
  check(cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate");
  const Preference preference(raw);
  check(cublasLtMatmulPreferenceSetAttribute(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &kWorkspaceBytes, sizeof kWorkspaceBytes),
        "cublasLtMatmulPreferenceSetAttribute");
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle, out->description.get(), out->first.get(),
                                       out->second.get(), out->result.get(), out->result.get(), raw,
                                       1, &best, &found),
        "cublasLtMatmulAlgoGetHeuristic");
  if (found == 0) {
    throw core::Error(core::ErrorKind::kDevice, "matmul: cuBLASLt has no algorithm for [" +
                                                    std::to_string(m) + ", " + std::to_string(k) +
                                                    "] · [" + std::to_string(k) + ", " +
                                                    std::to_string(n) + "]");
  }
  out->algorithm = best.algo;
  return out;
}

/// The products that one thread has used on one device, latest first, and their workspace.
class Products {
 public:
  explicit Products(int device)
      : device_(device), workspace_(cuda::device_alloc(kWorkspaceBytes, device)) {
    cublasLtHandle_t raw = nullptr;
    check(cublasLtCreate(&raw), "cublasLtCreate");
    handle_ = LtHandle(raw);
  }
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  ~Products() { cuda::device_release(workspace_, kWorkspaceBytes, device_); }

  Product& find(const Key& key) {
    auto found = std::find_if(products_.begin(), products_.end(),
                              [&](const auto& product) { return product->key == key; });
    if (found == products_.end()) {
      if (products_.size() == kMost) products_.pop_back();
      products_.push_back(make_product(handle_.get(), key));
      found = products_.end() - 1;
    }
    std::rotate(products_.begin(), found, found + 1);
    return *products_.front();
  }
  int device() const { return device_; }
  void* workspace() const { return workspace_; }
  cublasLtHandle_t handle() const { return handle_.get(); }

 private:
  static constexpr std::size_t kMost = 256;
  int device_;
  LtHandle handle_;
  void* workspace_;
  std::vector<std::unique_ptr<Product>> products_;
};

Products& products_of_this_thread(int device) {
  thread_local std::vector<std::unique_ptr<Products>> all;
  for (const auto& one : all) {
    if (one->device() == device) return *one;
  }
  all.push_back(std::make_unique<Products>(device));
  return *all.back();
}

void matmul_cuda(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                 MatmulOptions options, Stream& stream) {
  check(cudaSetDevice(c.device().index), "cudaSetDevice");
  Products& products = products_of_this_thread(c.device().index);
  const Product& product = products.find({sizes, options.a, options.b, options.c});
  const float alpha = 1;
  const float beta = options.c == Accumulate::kYes ? 1 : 0;
  float* result = c.data<float>();
  check(cublasLtMatmul(products.handle(), product.description.get(), &alpha, b.data<float>(),
                       product.first.get(), a.data<float>(), product.second.get(), &beta, result,
                       product.result.get(), result, product.result.get(), &product.algorithm,
                       products.workspace(), kWorkspaceBytes, cuda::native(stream)),
        "cublasLtMatmul");
}

}  // namespace

extern const MatmulTwins kMatmulCuda;
const MatmulTwins kMatmulCuda{matmul_cuda};

}  // namespace rw::kernels
