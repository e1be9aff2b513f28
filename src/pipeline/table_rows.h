// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "pipeline/pieces.h"

namespace rw::pipeline {

/// The rows of a table (Piece::row_elems) that tokens of a step name on any of its replicas: the only ones
/// with gradients.
class TableRows {
 public:
  /// `piece` outlives it. most_rows: no step of all replicas names more.
  TableRows(const Piece& piece, std::int64_t most_rows);
  /// Begins to ask the replicas, which call it alike. token_ids: [n] i32 each, this rank's of one step; ids
  /// that no row has are passed over.
  void ask(const std::vector<core::Tensor>& token_ids);
  /// Ascending. Waits for the replicas' answers. In a dry run: as many as there can be.
  const std::vector<std::int32_t>& rows();
  std::int64_t most_rows() const { return most_rows_; }

 private:
  comm::Communicator* group_;
  std::int64_t table_rows_;
  std::int64_t most_rows_;
  core::Tensor mine_, all_;  // [words], [ranks · words] i32: one bit a row
  comm::Ticket ticket_;
  bool asked_ = false;
  std::vector<std::int32_t> rows_;
};

/// Those rows side by side, on their way: the sum of a table's gradients over its replicas has the same bits
/// whether all of the table travels or only they do.
class RowParcel {
 public:
  /// `piece` outlives it.
  explicit RowParcel(const Piece& piece) : piece_(&piece) {}
  /// Takes memory for `most` rows and copies `rows` of the gradients into it. Returns what travels, as
  /// cut_by_owner cuts a piece when `sharded`, otherwise in cuts of one tensor.
  std::vector<std::vector<core::Tensor>> pack(const std::vector<std::int32_t>& rows,
                                              std::int64_t most, bool sharded,
                                              std::int64_t cut_elems, core::Stream& stream);
  /// Copies them back and gives the memory back.
  void unpack(core::Stream& stream);

 private:
  std::int64_t place(std::int64_t elem, const std::vector<std::int32_t>& rows) const;
  core::Tensor table() const;

  const Piece* piece_;
  core::Tensor ids_;     // [rows] i32
  core::Tensor packed_;  // [rows, row_elems] f32
};

}  // namespace rw::pipeline
