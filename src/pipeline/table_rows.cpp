// Part of Ropewalk, MIT licence.
#include "pipeline/table_rows.h"

#include <algorithm>
#include <numeric>

#include "core/dry_run.h"
#include "kernels/embedding/embedding.h"

namespace rw::pipeline {
namespace {

using core::Tensor;

constexpr std::int64_t kBits = 32;  // of a word

std::vector<std::int32_t> numbers_of(const Tensor& tensor) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(tensor.elems()));
  core::copy_to_host(tensor, out.data(), tensor.bytes());
  return out;
}

}  // namespace

TableRows::TableRows(const Piece& piece, std::int64_t most_rows)
    : group_(piece.group),
      table_rows_(piece.grads.elems() / piece.row_elems),
      most_rows_(std::min(most_rows, table_rows_)) {
  const std::int64_t words = (table_rows_ + kBits - 1) / kBits;
  mine_ = Tensor::zeros({words}, core::DType::kI32);
  all_ = Tensor::zeros({words * group_->size()}, core::DType::kI32);
}

void TableRows::ask(const std::vector<Tensor>& token_ids) {
  asked_ = true;
  if (core::DryRun::current() != nullptr) return;
  std::vector<std::uint32_t> named(static_cast<std::size_t>(mine_.elems()), 0);
  for (const Tensor& tokens : token_ids) {
    for (const std::int32_t token : numbers_of(tokens)) {
      if (token < 0 || token >= table_rows_) continue;
      named[static_cast<std::size_t>(token / kBits)] |= 1U << (token % kBits);
    }
  }
  core::copy_from_host(named.data(), mine_.bytes(), mine_);
  ticket_ = group_->all_gather(mine_, all_);
}

const std::vector<std::int32_t>& TableRows::rows() {
  if (!asked_) return rows_;
  ticket_.wait();
  asked_ = false;
  rows_.clear();
  if (core::DryRun::current() != nullptr) {
    rows_.resize(static_cast<std::size_t>(most_rows_));
    std::iota(rows_.begin(), rows_.end(), 0);
    return rows_;
  }
  auto words = numbers_of(all_);
  const auto count = static_cast<std::size_t>(mine_.elems());
  for (std::size_t i = count; i < words.size(); ++i) words[i % count] |= words[i];
  for (std::int64_t row = 0; row < table_rows_; ++row) {
    const auto word = static_cast<std::uint32_t>(words[static_cast<std::size_t>(row / kBits)]);
    if ((word >> (row % kBits) & 1U) != 0) rows_.push_back(static_cast<std::int32_t>(row));
  }
  return rows_;
}

Tensor RowParcel::table() const {
  return piece_->grads.view({piece_->grads.elems() / piece_->row_elems, piece_->row_elems});
}

/// Where element `elem` of the table lies among the rows; of a row that does not travel: where the next does.
std::int64_t RowParcel::place(std::int64_t elem, const std::vector<std::int32_t>& rows) const {
  const std::int64_t row = elem / piece_->row_elems;
  const auto next = std::lower_bound(rows.begin(), rows.end(), row);
  const std::int64_t before = (next - rows.begin()) * piece_->row_elems;
  return next != rows.end() && *next == row ? before + elem % piece_->row_elems : before;
}

std::vector<std::vector<Tensor>> RowParcel::pack(const std::vector<std::int32_t>& rows,
                                                 std::int64_t most, bool sharded,
                                                 std::int64_t cut_elems, core::Stream& stream) {
  const auto count = static_cast<std::int64_t>(rows.size());
  ids_ = Tensor::of_ints({count}, rows, piece_->grads.device());
  {
    const core::MemoryLabel label("rows of sums");
    packed_ = Tensor::empty({most, piece_->row_elems}, core::DType::kF32, piece_->grads.device())
                  .rows(0, count);
  }
  kernels::embedding_forward(ids_, table(), packed_, stream);
  stream.sync();  // complete before they travel
  const Tensor flat = packed_.view({packed_.elems()});
  if (!sharded) return cut(flat, cut_elems);
  std::vector<std::pair<std::int64_t, std::int64_t>> owned;
  for (int rank = 0; rank < piece_->group->size(); ++rank) {
    const auto [begin, end] = piece_->owned(rank);
    owned.emplace_back(place(begin, rows), place(end, rows));
  }
  return cut_by_owner(owned, flat, cut_elems);
}

void RowParcel::unpack(core::Stream& stream) {
  Tensor to = table();
  kernels::scatter_rows(ids_, packed_, to, stream);
  stream.sync();
  packed_ = ids_ = {};
}

}  // namespace rw::pipeline
