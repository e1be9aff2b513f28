// Part of Ropewalk, MIT licence.
#include "kernels/matmul/converted.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <string>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/parallel.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

constexpr std::int64_t kAElems = std::int64_t{1} << 19;
constexpr std::int64_t kBElems = std::int64_t{1} << 21;
constexpr std::int64_t kCElems = std::int64_t{1} << 20;
constexpr std::int64_t kMostDepth = 4096;    // of a block of a and of b
constexpr std::int64_t kMostColumns = 8192;  // of a block of b and of c

/// [begin, end) of one dimension.
struct Part {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};
/// Part `i` of the fewest parts of nearly equal size that are at most `most` long.
class Parts {
 public:
  Parts(std::int64_t size, std::int64_t most)
      : size_(size), count_((size + most - 1) / most), longest_((size + count_ - 1) / count_) {}
  std::int64_t count() const { return count_; }
  std::int64_t longest() const { return longest_; }
  Part at(std::int64_t i) const {
    return {std::min(size_, i * longest_), std::min(size_, (i + 1) * longest_)};
  }

 private:
  std::int64_t size_, count_, longest_;
};

/// Rows × columns of op(operand), converted as they lie in memory; returns the stride of `to`.
std::int64_t convert_block(const GemmMatrix<BF16>& from, Part rows, Part columns, float* to) {
  if (from.transpose == Transpose::kYes) std::swap(rows, columns);
  const std::int64_t width = columns.size();
  const BF16* first = from.data + rows.begin * from.stride + columns.begin;
  for_rows(rows.size(), width, [=, stride = from.stride](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      row_convert(first + i * stride, to + i * width, width);
    }
  });
  return width;
}

class BlockProduct {
 public:
  BlockProduct(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
               MatmulOptions options)
      : a_{a.data<BF16>(), options.a == Transpose::kYes ? sizes.m : sizes.k, options.a},
        b_{b.data<BF16>(), options.b == Transpose::kYes ? sizes.k : sizes.n, options.b},
        c_(c),
        columns_(sizes.n),
        adds_(options.c == Accumulate::kYes),
        depth_(sizes.k, kMostDepth),
        width_(sizes.n, std::min(kMostColumns, kBElems / depth_.longest())),
        rows_(sizes.m, std::min(kAElems / depth_.longest(), kCElems / width_.longest())),
        memory_(static_cast<std::size_t>(kAElems + kBElems + kCElems) * sizeof(float),
                core::Device{}) {}

  void run() {
    for (std::int64_t j = 0; j < width_.count(); ++j) {
      if (c_.dtype() == core::DType::kF32) {
        sum_in_place(width_.at(j));
      } else {
        round_sums(width_.at(j));
      }
    }
  }

 private:
  float* a_room() const { return static_cast<float*>(memory_.address()); }
  float* b_room() const { return a_room() + kAElems; }
  float* c_room() const { return b_room() + kBElems; }

  /// Every block of b is converted once.
  void sum_in_place(Part columns) {
    for (std::int64_t p = 0; p < depth_.count(); ++p) {
      const std::int64_t ldb = convert_block(b_, depth_.at(p), columns, b_room());
      for (std::int64_t i = 0; i < rows_.count(); ++i) {
        float* to = c_.data<float>() + rows_.at(i).begin * columns_ + columns.begin;
        multiply(rows_.at(i), columns, depth_.at(p), ldb, to, columns_, adds_ || p > 0);
      }
    }
  }

  void round_sums(Part columns) {
    std::int64_t ldb = 0;
    for (std::int64_t i = 0; i < rows_.count(); ++i) {
      const Part rows = rows_.at(i);
      for (std::int64_t p = 0; p < depth_.count(); ++p) {
        if (i == 0 || depth_.count() > 1) {
          ldb = convert_block(b_, depth_.at(p), columns, b_room());
        }
        multiply(rows, columns, depth_.at(p), ldb, c_room(), columns.size(), p > 0);
      }
      BF16* to = c_.data<BF16>() + rows.begin * columns_ + columns.begin;
      for_rows(rows.size(), columns.size(), [=, this](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
          row_convert(c_room() + n * columns.size(), to + n * columns_, columns.size());
        }
      });
    }
  }

  /// to [rows, columns] = a's block · the converted block of b, added to what is there if `adds`.
  void multiply(Part rows, Part columns, Part depth, std::int64_t ldb, float* to, std::int64_t ldc,
                bool adds) {
    const std::int64_t lda = convert_block(a_, rows, depth, a_room());
    onednn_gemm(
        {rows.size(), columns.size(), depth.size(), adds ? Accumulate::kYes : Accumulate::kNo},
        {a_room(), lda, a_.transpose}, {b_room(), ldb, b_.transpose}, to, ldc);
  }

  GemmMatrix<BF16> a_, b_;
  Tensor c_;
  std::int64_t columns_;
  bool adds_;
  Parts depth_, width_, rows_;
  core::Buffer memory_;
};

}  // namespace

void onednn_gemm(const GemmSizes& by, const GemmMatrix<float>& a, const GemmMatrix<float>& b,
                 float* c, std::int64_t stride) {
  const auto letter = [](Transpose of) { return of == Transpose::kYes ? 'T' : 'N'; };
  const float before = by.c == Accumulate::kYes ? 1.0F : 0.0F;
  const dnnl_status_t status =
      dnnl_sgemm(letter(a.transpose), letter(b.transpose), by.m, by.n, by.k, 1.0F, a.data, a.stride,
                 b.data, b.stride, before, c, stride);
  if (status != dnnl_success) {
    throw core::Error(core::ErrorKind::kDevice,
                      "matmul: oneDNN failed (status " + std::to_string(status) + ") for m " +
                          std::to_string(by.m) + ", n " + std::to_string(by.n) + ", k " +
                          std::to_string(by.k));
  }
}

void matmul_converted(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                      MatmulOptions options) {
  BlockProduct(a, b, c, sizes, options).run();
}

}  // namespace rw::kernels
