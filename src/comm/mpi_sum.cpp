// Part of Ropewalk, MIT licence.
#include "comm/mpi_sum.h"

#include <memory>

#include "comm/host_bytes.h"
#include "comm/rank_sum.h"

namespace rw::comm {
namespace {

using core::DType;
using core::Tensor;
using Step = MpiTask::Step;

constexpr std::size_t kSmallElems = 1024;

/// One part per rank on its way: sent to its owner, added there, sent back to everybody.
class PartsWork {
 public:
  PartsWork(const Seat& seat, std::vector<Tensor> parts, Wire wire)
      : seat_(seat), tensors_(std::move(parts)), wire_(wire) {}

  void fetch() {
    for (const Tensor& part : tensors_) parts_.emplace_back(part, true);
  }

  /// Everybody's numbers of my part come in, mine of theirs go out.
  void scatter(MpiIo& io) {
    const auto mine = static_cast<std::int64_t>(elems(seat_.me()));
    incoming_ = Tensor::empty({(seat_.size - 1) * mine}, dtype());
    if (wire_ == Wire::kBF16) stage();
    for (std::size_t r = 0; r < seat_.ranks(); ++r) {
      if (r == seat_.me()) continue;
      const auto peer = static_cast<int>(r);
      if (mine > 0) io.receive(slot(r), elems(seat_.me()) * width(), peer, seat_.tag);
      if (elems(r) == 0) continue;
      if (wire_ == Wire::kBF16) encode_bf16(numbers(r), elems(r), staged(r));
      io.send(outgoing(r), elems(r) * width(), peer, seat_.tag);
    }
  }

  void add() {
    std::vector<RankPart> all;
    for (std::size_t r = 0; r < seat_.ranks(); ++r) {
      if (r == seat_.me()) {
        all.push_back({.f32 = numbers(r)});
      } else if (wire_ == Wire::kBF16) {
        all.push_back({.bf16 = reinterpret_cast<const std::uint16_t*>(slot(r))});
      } else {
        all.push_back({.f32 = reinterpret_cast<const float*>(slot(r))});
      }
    }
    float* out = numbers(seat_.me());
    sum_in_rank_order(all, elems(seat_.me()), {&out, 1}, wire_);
  }

  /// My part goes to everybody, theirs come in.
  void gather(MpiIo& io) {
    if (wire_ == Wire::kBF16)
      encode_bf16(numbers(seat_.me()), elems(seat_.me()), staged(seat_.me()));
    for (std::size_t r = 0; r < seat_.ranks(); ++r) {
      if (r == seat_.me()) continue;
      const auto peer = static_cast<int>(r);
      if (elems(r) > 0) io.receive(outgoing(r), elems(r) * width(), peer, seat_.tag);
      if (elems(seat_.me()) > 0) {
        io.send(outgoing(seat_.me()), elems(seat_.me()) * width(), peer, seat_.tag);
      }
    }
  }

  void keep_mine() { parts_[seat_.me()].write_back(); }
  void keep_all() {
    for (std::size_t r = 0; r < parts_.size(); ++r) {
      if (wire_ == Wire::kBF16 && r != seat_.me()) decode_bf16(staged(r), elems(r), numbers(r));
      parts_[r].write_back();
    }
  }

 private:
  std::size_t elems(std::size_t r) const { return static_cast<std::size_t>(tensors_[r].elems()); }
  DType dtype() const { return wire_ == Wire::kBF16 ? DType::kBF16 : tensors_.front().dtype(); }
  std::size_t width() const { return core::dtype_bytes(dtype()); }
  float* numbers(std::size_t r) { return reinterpret_cast<float*>(parts_[r].address()); }
  /// Where rank r's numbers of my part arrive.
  std::byte* slot(std::size_t r) {
    const std::size_t place = r < seat_.me() ? r : r - 1;
    return static_cast<std::byte*>(incoming_.address()) + place * elems(seat_.me()) * width();
  }
  void stage() {
    std::int64_t sum = 0;
    for (const Tensor& part : tensors_) {
      begins_.push_back(static_cast<std::size_t>(sum));
      sum += part.elems();
    }
    staged_ = Tensor::empty({sum}, DType::kBF16);
  }
  std::uint16_t* staged(std::size_t r) {
    return static_cast<std::uint16_t*>(staged_.address()) + begins_[r];
  }
  /// What travels of part r.
  std::byte* outgoing(std::size_t r) {
    return wire_ == Wire::kBF16 ? reinterpret_cast<std::byte*>(staged(r)) : parts_[r].address();
  }

  Seat seat_;
  std::vector<Tensor> tensors_;
  Wire wire_;
  std::vector<HostBytes> parts_ = {};
  Tensor incoming_ = {};
  Tensor staged_ = {};  // bf16 wire: all parts
  std::vector<std::size_t> begins_ = {};
};

/// Few numbers: all of them to everybody, one round trip less.
std::vector<Step> small_sum_steps(const Seat& seat, const Tensor& tensor, Wire wire) {
  struct Work {
    HostBytes host;
    std::vector<std::byte> all;
  };
  auto work = std::make_shared<Work>();
  const auto n = static_cast<std::size_t>(tensor.elems());
  const std::size_t bytes = n * (wire == Wire::kBF16 ? sizeof(std::uint16_t) : sizeof(float));
  return {[=](MpiIo& io) {
            work->host = HostBytes(tensor, true);
            work->all.resize(bytes * seat.ranks());
            const auto* numbers = reinterpret_cast<const float*>(work->host.address());
            auto* mine = work->all.data() + seat.me() * bytes;
            if (wire == Wire::kBF16) {
              encode_bf16(numbers, n, reinterpret_cast<std::uint16_t*>(mine));
            } else {
              std::copy_n(work->host.address(), bytes, mine);
            }
            exchange(io, seat, work->all.data(), bytes);
          },
          [=](MpiIo&) {
            std::vector<RankPart> parts;
            for (std::size_t r = 0; r < seat.ranks(); ++r) {
              const auto* at = work->all.data() + r * bytes;
              RankPart part;
              if (wire == Wire::kBF16) {
                part.bf16 = reinterpret_cast<const std::uint16_t*>(at);
              } else {
                part.f32 = reinterpret_cast<const float*>(at);
              }
              parts.push_back(part);
            }
            auto* out = reinterpret_cast<float*>(work->host.address());
            sum_in_rank_order(parts, n, {&out, 1}, wire);
            work->host.write_back();
          }};
}

}  // namespace

void exchange(MpiIo& io, const Seat& seat, std::byte* all, std::size_t n) {
  for (int r = 0; r < seat.size; ++r) {
    if (r == seat.rank) continue;
    io.receive(all + static_cast<std::size_t>(r) * n, n, r, seat.tag);
    io.send(all + seat.me() * n, n, r, seat.tag);
  }
}

std::vector<Step> all_reduce_steps(const Seat& seat, const Tensor& tensor, Wire wire) {
  const auto n = static_cast<std::size_t>(tensor.elems());
  if (seat.size == 1 || n == 0) return {};
  if (n <= std::max(kSmallElems, seat.ranks())) return small_sum_steps(seat, tensor, wire);
  std::vector<Tensor> parts;
  for (std::size_t r = 0; r < seat.ranks(); ++r) {
    parts.push_back(tensor.flat(static_cast<std::int64_t>(seat.slice(r, n)),
                                static_cast<std::int64_t>(seat.slice(r + 1, n))));
  }
  auto work = std::make_shared<PartsWork>(seat, std::move(parts), wire);
  return {[work](MpiIo& io) {
            work->fetch();
            work->scatter(io);
          },
          [work](MpiIo& io) {
            work->add();
            work->gather(io);
          },
          [work](MpiIo&) { work->keep_all(); }};
}

std::vector<Step> reduce_scatter_steps(const Seat& seat, std::span<Tensor> parts, Wire wire) {
  if (seat.size == 1) return {};
  auto work =
      std::make_shared<PartsWork>(seat, std::vector<Tensor>(parts.begin(), parts.end()), wire);
  return {[work](MpiIo& io) {
            work->fetch();
            work->scatter(io);
          },
          [work](MpiIo&) {
            work->add();
            work->keep_mine();
          }};
}

std::vector<Step> gather_parts_steps(const Seat& seat, std::span<Tensor> parts) {
  if (seat.size == 1) return {};
  auto work = std::make_shared<PartsWork>(seat, std::vector<Tensor>(parts.begin(), parts.end()),
                                          Wire::kF32);
  return {[work](MpiIo& io) {
            work->fetch();
            work->gather(io);
          },
          [work](MpiIo&) { work->keep_all(); }};
}

}  // namespace rw::comm
