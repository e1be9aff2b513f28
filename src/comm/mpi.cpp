// Part of Ropewalk, MIT licence.
#include "comm/mpi.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "comm/checks.h"
#include "comm/host_bytes.h"
#include "comm/mpi_sum.h"

namespace rw::comm {
namespace {

using core::Tensor;
using Step = MpiTask::Step;

/// Calls of all_gather_parts that move at a time: one alone leaves the network idle between messages,
/// all of them share it and the first is done when the last is.
constexpr std::size_t kGathersAtOnce = 4;
constexpr int kTags = 1 << 20;  // point to point below, collectives above

void require_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  throw core::Error(core::ErrorKind::kComm, fmt::format("{}: MPI error {}", call, code));
}

std::vector<Step> gather_steps(const Seat& seat, const Tensor& mine, const Tensor& all) {
  struct Work {
    HostBytes mine, all;
  };
  auto work = std::make_shared<Work>();
  return {[=](MpiIo& io) {
            work->mine = HostBytes(mine, true);
            work->all = HostBytes(all, false);
            const std::size_t n = mine.bytes();
            if (n == 0) return;
            std::memmove(work->all.address() + seat.me() * n, work->mine.address(), n);
            exchange(io, seat, work->all.address(), n);
          },
          [work](MpiIo&) { work->all.write_back(); }};
}

std::vector<Step> broadcast_steps(const Seat& seat, const Tensor& tensor, int root) {
  if (tensor.bytes() == 0) return {};
  auto host = std::make_shared<HostBytes>();
  return {[=](MpiIo& io) {
            *host = HostBytes(tensor, seat.rank == root);
            if (seat.rank != root) io.receive(host->address(), host->bytes(), root, seat.tag);
            for (int r = 0; r < seat.size && seat.rank == root; ++r) {
              if (r != root) io.send(host->address(), host->bytes(), r, seat.tag);
            }
          },
          [host, seat, root](MpiIo&) {
            if (seat.rank != root) host->write_back();
          }};
}

/// Every rank's numbers, rank order, into `all`, which holds this rank's already.
template <class T>
std::vector<Step> share_steps(const Seat& seat, std::shared_ptr<std::vector<T>> all) {
  return {[=](MpiIo& io) {
    const std::size_t n = all->size() / seat.ranks();
    if (n > 0) exchange(io, seat, reinterpret_cast<std::byte*>(all->data()), n * sizeof(T));
  }};
}

std::vector<Step> barrier_steps(const Seat& seat) {
  auto byte = std::make_shared<std::vector<std::byte>>(seat.ranks());
  return share_steps(seat, byte);
}

std::vector<Step> text_steps(const Seat& seat, const std::string& mine,
                             const std::shared_ptr<std::vector<std::string>>& texts) {
  auto sizes = std::make_shared<std::vector<std::uint64_t>>(seat.ranks());
  (*sizes)[seat.me()] = mine.size();
  texts->resize(seat.ranks());
  (*texts)[seat.me()] = mine;
  auto steps = share_steps(seat, sizes);
  steps.emplace_back([=](MpiIo& io) {
    const std::string& text = (*texts)[seat.me()];
    for (int r = 0; r < seat.size; ++r) {
      if (r == seat.rank) continue;
      const auto i = static_cast<std::size_t>(r);
      (*texts)[i].resize((*sizes)[i]);
      if (!(*texts)[i].empty()) io.receive((*texts)[i].data(), (*texts)[i].size(), r, seat.tag);
      if (!text.empty()) io.send(text.data(), text.size(), r, seat.tag);
    }
  });
  return steps;
}

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<MpiEngine> engine, MPI_Comm group, std::vector<int> ranks)
      : engine_(std::move(engine)), group_(group), ranks_(std::move(ranks)) {
    MPI_Comm_set_errhandler(group_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(group_, &rank_);
  }
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }

  using Communicator::all_reduce_sum;
  Ticket all_reduce_sum(Tensor& tensor, Wire wire) override {
    check_f32("all_reduce_sum", tensor);
    return submit("all_reduce_sum", all_reduce_steps(next_seat(), tensor, wire));
  }
  Ticket reduce_scatter_sum(std::span<Tensor> parts, Wire wire) override {
    check_parts("reduce_scatter_sum", parts, size());
    check_f32("reduce_scatter_sum", parts.front());
    return submit("reduce_scatter_sum", reduce_scatter_steps(next_seat(), parts, wire));
  }
  Ticket all_gather_parts(std::span<Tensor> parts) override {
    check_parts("all_gather_parts", parts, size());
    auto task = make_task("all_gather_parts", gather_parts_steps(next_seat(), parts));
    task->set_after(std::exchange(gathers_[gathers_made_++ % kGathersAtOnce], task));
    return hand_over(std::move(task));
  }
  Ticket all_reduce_sum(std::span<double> numbers) override {
    const auto all = room_for<double>(numbers);
    return submit("all_reduce_sum", share_steps(next_seat(), all), [numbers, all] {
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        double sum = (*all)[i];
        for (std::size_t j = i + numbers.size(); j < all->size(); j += numbers.size()) {
          sum += (*all)[j];
        }
        numbers[i] = sum;
      }
    });
  }
  Ticket all_reduce_max(std::span<std::uint64_t> numbers) override {
    const auto all = room_for<std::uint64_t>(numbers);
    return submit("all_reduce_max", share_steps(next_seat(), all), [numbers, all] {
      for (std::size_t j = 0; j < all->size(); ++j) {
        auto& number = numbers[j % numbers.size()];
        number = std::max(number, (*all)[j]);
      }
    });
  }
  Ticket all_gather(const Tensor& mine, Tensor& all) override {
    check_gather(mine, all, size());
    return submit("all_gather", gather_steps(next_seat(), mine, all));
  }
  Ticket broadcast(Tensor& tensor, int root) override {
    check_rank("broadcast", root, size());
    return submit("broadcast", broadcast_steps(next_seat(), tensor, root));
  }
  Ticket barrier() override { return submit("barrier", barrier_steps(next_seat())); }

  Ticket send(const Tensor& tensor, int to, int tag) override;
  Ticket receive(Tensor& tensor, int from, int tag) override;
  std::uint64_t events() const override { return engine_->ended().count(); }
  void wait_event(std::uint64_t seen, double seconds) override {
    engine_->ended().wait(seen, seconds);
  }
  std::vector<std::string> gather_text(const std::string& mine) override {
    const auto texts = std::make_shared<std::vector<std::string>>();
    submit("gather_text", text_steps(next_seat(), mine, texts)).wait();
    return *texts;
  }
  std::unique_ptr<Communicator> subgroup(std::span<const int> members) override;
  std::unique_ptr<Communicator> duplicate() override {
    std::vector<int> members(ranks_.size());
    std::iota(members.begin(), members.end(), 0);
    return subgroup(members);
  }
  void abort(int exit_code) override {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }
  void set_peer_timeout(double seconds) override { timeout_->store(seconds); }

 private:
  template <class T>
  std::shared_ptr<std::vector<T>> room_for(std::span<T> numbers) const {
    auto all = std::make_shared<std::vector<T>>(numbers.size() * ranks_.size());
    std::copy(numbers.begin(), numbers.end(),
              all->begin() + static_cast<std::ptrdiff_t>(numbers.size()) * rank_);
    return all;
  }
  Seat next_seat() { return {rank_, size(), kTags + static_cast<int>(calls_++ % kTags)}; }
  Ticket submit(std::string name, std::vector<Step> steps, std::function<void()> take = nullptr) {
    auto task = make_task(std::move(name), std::move(steps));
    task->set_take(std::move(take));
    return hand_over(std::move(task));
  }
  std::shared_ptr<MpiTask> make_task(std::string name, std::vector<Step> steps) {
    return std::make_shared<MpiTask>(std::move(name), MpiIo(group_, ranks_, engine_->requests()),
                                     std::move(steps), timeout_);
  }
  Ticket hand_over(std::shared_ptr<MpiTask> task) {
    engine_->submit(task);
    return Ticket(std::move(task));
  }

  std::shared_ptr<MpiEngine> engine_;  // shared by all communicators of the process
  MPI_Comm group_;                     // freed by MPI_Finalize: freeing it is collective
  std::vector<int> ranks_;             // of the job, by rank of the group
  int rank_ = 0;
  std::int64_t calls_ = 0;  // of collectives, which come from one thread
  std::array<std::shared_ptr<MpiTask>, kGathersAtOnce> gathers_;  // the last ones
  std::size_t gathers_made_ = 0;
  std::shared_ptr<std::atomic<double>> timeout_ = std::make_shared<std::atomic<double>>(0.0);
};

Ticket MpiCommunicator::send(const Tensor& tensor, int to, int tag) {
  check_rank("send", to, size());
  check_tag("send", tag);
  auto host = std::make_shared<HostBytes>();
  Tensor source = tensor;
  if (to == rank_) {  // kept aside: its receiver may be the caller itself, later
    source = Tensor::empty(tensor.shape(), tensor.dtype());
    if (tensor.bytes() > 0) core::copy_to_host(tensor, source.address(), source.bytes());
  }
  Ticket ticket =
      submit(fmt::format("send to rank {}, tag {}", ranks_[static_cast<std::size_t>(to)], tag),
             {[host, source, to, tag](MpiIo& io) {
               *host = HostBytes(source, true);
               io.send(host->address(), host->bytes(), to, tag);
             }});
  return to == rank_ ? Ticket() : ticket;
}

Ticket MpiCommunicator::receive(Tensor& tensor, int from, int tag) {
  check_rank("receive", from, size());
  check_tag("receive", tag);
  auto host = std::make_shared<HostBytes>();
  return submit(
      fmt::format("receive from rank {}, tag {}", ranks_[static_cast<std::size_t>(from)], tag),
      {[host, target = tensor, from, tag](MpiIo& io) {
         *host = HostBytes(target, false);
         io.receive(host->address(), host->bytes(), from, tag);
       },
       [host](MpiIo&) { host->write_back(); }});
}

std::unique_ptr<Communicator> MpiCommunicator::subgroup(std::span<const int> members) {
  check_members(members, size());
  std::vector<int> ranks;
  int place = -1;
  for (const int member : members) {
    if (member == rank_) place = static_cast<int>(ranks.size());
    ranks.push_back(ranks_[static_cast<std::size_t>(member)]);
  }
  // MPI_Comm_split spins and knows no time limit: enter it once all are there. It is called from
  // here, not from the communication thread, which goes on moving the messages of others.
  barrier().wait();
  MPI_Comm child = MPI_COMM_NULL;
  require_mpi(MPI_Comm_split(group_, place < 0 ? MPI_UNDEFINED : 0, std::max(place, 0), &child),
              "MPI_Comm_split");
  if (place < 0) return nullptr;
  return std::make_unique<MpiCommunicator>(engine_, child, std::move(ranks));
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_world(std::shared_ptr<MpiEngine> engine) {
  MPI_Comm group = MPI_COMM_NULL;
  require_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &group), "MPI_Comm_dup");
  int size = 0;
  MPI_Comm_size(group, &size);
  std::vector<int> ranks(static_cast<std::size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return std::make_unique<MpiCommunicator>(std::move(engine), group, std::move(ranks));
}

}  // namespace rw::comm
