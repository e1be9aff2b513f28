// Part of Ropewalk, MIT licence.
#include "kernels/embedding/embedding.h"

#include "kernels/check.h"
#include "kernels/embedding/twins.h"

namespace rw::kernels {
namespace {

/// rows [N, D], table [V, D], tokens [N].
void require_fit(const char* op, const Tensor& tokens, const Argument& table, const Argument& rows,
                 const Stream& stream) {
  require_rank(op, "tokens", tokens, 1);
  require_rank(op, table.name, *table.tensor, 2);
  const std::int64_t n = tokens.shape()[0];
  const std::int64_t d = table.tensor->shape()[1];
  require_arguments(op, stream,
                    {{"tokens", &tokens, {n}, core::DType::kI32},
                     {table.name, table.tensor, table.tensor->shape()},
                     {rows.name, rows.tensor, {n, d}}});
}

}  // namespace

void embedding_forward(const Tensor& tokens, const Tensor& table, Tensor& out, Stream& stream) {
  require_fit("embedding_forward", tokens, {"table", &table, {}}, {"out", &out, {}}, stream);
  core::twins<EmbeddingTwins>(out.device()).forward(tokens, table, out, stream);
}

void embedding_backward(const Tensor& tokens, const Tensor& dout, Tensor& dtable, Stream& stream) {
  require_fit("embedding_backward", tokens, {"dtable", &dtable, {}}, {"dout", &dout, {}}, stream);
  core::twins<EmbeddingTwins>(dout.device()).backward(tokens, dout, dtable, stream);
}

void scatter_rows(const Tensor& ids, const Tensor& from, Tensor& table, Stream& stream) {
  require_fit("scatter_rows", ids, {"table", &table, {}}, {"from", &from, {}}, stream);
  core::twins<EmbeddingTwins>(from.device()).scatter_rows(ids, from, table, stream);
}

}  // namespace rw::kernels
