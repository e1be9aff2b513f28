// Part of Ropewalk, MIT licence.
#include "kernels/check.h"
#include "kernels/embedding/twins.h"
#include "kernels/multiversion.h"
#include "kernels/parallel.h"

namespace rw::kernels {
namespace {

RW_CLONES void add_row(const float* from, float* to, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) to[i] += from[i];
}

void require_tokens(const char* op, const Tensor& tokens, std::int64_t vocab) {
  const auto* token = tokens.data<std::int32_t>();
  for (std::int64_t n = 0; n < tokens.elems(); ++n) {
    if (token[n] >= 0 && token[n] < vocab) continue;
    refuse(op, "token " + std::to_string(token[n]) + " at " + std::to_string(n),
           "0 to " + std::to_string(vocab - 1) + ", the rows of the table");
  }
}

void forward_cpu(const Tensor& tokens, const Tensor& table, Tensor& out, Stream& /*stream*/) {
  require_tokens("embedding_forward", tokens, table.shape()[0]);
  const auto* token = tokens.data<std::int32_t>();
  const float* from = table.data<float>();
  float* to = out.data<float>();
  const std::int64_t width = table.shape()[1];
  for_rows(tokens.elems(), width, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      std::copy_n(from + token[n] * width, width, to + n * width);
    }
  });
}

/// Every thread owns a range of columns and goes through all rows, so the order of additions into
/// an element never depends on the threads.
void backward_cpu(const Tensor& tokens, const Tensor& dout, Tensor& dtable, Stream& /*stream*/) {
  require_tokens("embedding_backward", tokens, dtable.shape()[0]);
  const auto* token = tokens.data<std::int32_t>();
  const float* from = dout.data<float>();
  float* to = dtable.data<float>();
  const std::int64_t rows = tokens.elems();
  const std::int64_t width = dtable.shape()[1];
  for_parts(width, rows, 16, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = 0; n < rows; ++n) {
      add_row(from + n * width + begin, to + token[n] * width + begin, end - begin);
    }
  });
}

void scatter_rows_cpu(const Tensor& ids, const Tensor& from, Tensor& table, Stream& /*stream*/) {
  require_tokens("scatter_rows", ids, table.shape()[0]);
  const auto* id = ids.data<std::int32_t>();
  const float* rows = from.data<float>();
  float* to = table.data<float>();
  const std::int64_t width = table.shape()[1];
  for_rows(ids.elems(), width, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      std::copy_n(rows + n * width, width, to + id[n] * width);
    }
  });
}

}  // namespace

const EmbeddingTwins kEmbeddingCpu{forward_cpu, backward_cpu, scatter_rows_cpu};

}  // namespace rw::kernels
