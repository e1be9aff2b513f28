// Part of Ropewalk, MIT licence.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <span>

#include "comm/checks.h"
#include "comm/host_bytes.h"
#include "comm/hub.h"
#include "comm/rank_sum.h"

namespace rw::comm {
namespace {

using core::Tensor;
using Jobs = std::vector<std::function<void()>>;

constexpr std::int64_t kSliceElems = 256 << 10;

void copy_tensor(const Tensor& from, Tensor to) {
  if (from.bytes() == 0) return;
  HostBytes source(from, true);
  if (to.device().kind == core::DeviceKind::kCpu) {
    std::memmove(to.address(), source.address(), from.bytes());
  } else {
    core::copy_from_host(source.address(), from.bytes(), to);
  }
}

constexpr std::size_t kEverybody = ~std::size_t{0};

/// Elements [begin, end) of every rank's tensor added in rank order; `owner` (or everybody) gets the
/// sum.
void add_slice(const std::vector<Tensor>& ranks, std::int64_t begin, std::int64_t end,
               std::size_t owner, Wire wire) {
  std::vector<HostBytes> hosts;
  hosts.reserve(ranks.size());
  for (const auto& tensor : ranks) hosts.emplace_back(tensor.flat(begin, end), true);
  std::vector<RankPart> parts;
  std::vector<float*> outs;
  for (std::size_t r = 0; r < hosts.size(); ++r) {
    auto* numbers = reinterpret_cast<float*>(hosts[r].address());
    parts.push_back({.f32 = numbers});
    if (owner == kEverybody || owner == r) outs.push_back(numbers);
  }
  sum_in_rank_order(parts, static_cast<std::size_t>(end - begin), outs, wire);
  for (std::size_t r = 0; r < hosts.size(); ++r) {
    if (owner == kEverybody || owner == r) hosts[r].write_back();
  }
}

void add_tensors(const std::vector<Tensor>& ranks, std::size_t owner, Wire wire, Jobs& jobs) {
  const std::int64_t elems = ranks.front().elems();
  for (std::int64_t begin = 0; begin < elems && ranks.size() > 1; begin += kSliceElems) {
    jobs.emplace_back([=, end = std::min(begin + kSliceElems, elems)] {
      add_slice(ranks, begin, end, owner, wire);
    });
  }
}

/// Everybody's part of `owner`.
std::vector<Tensor> parts_of(const HubOp& op, std::size_t owner) {
  std::vector<Tensor> out;
  for (const auto& parts : op.parts) out.push_back(parts[owner]);
  return out;
}

Jobs scatter_parts(const HubOp& op, Wire wire) {
  Jobs jobs;
  for (std::size_t r = 0; r < op.parts.size(); ++r) add_tensors(parts_of(op, r), r, wire, jobs);
  return jobs;
}

Jobs share_parts(const HubOp& op) {
  Jobs jobs;
  for (std::size_t owner = 0; owner < op.parts.size(); ++owner) {
    for (std::size_t r = 0; r < op.parts.size(); ++r) {
      if (r == owner) continue;
      jobs.emplace_back(
          [from = op.parts[owner][owner], to = op.parts[r][owner]] { copy_tensor(from, to); });
    }
  }
  return jobs;
}

Jobs gather_tensors(const HubOp& op) {
  Jobs jobs;
  for (const auto& out : op.out) {
    jobs.emplace_back([in = op.in, out] {
      const Tensor bytes = Tensor::wrap(out.address(), {static_cast<std::int64_t>(out.bytes())},
                                        core::DType::kU8, out.device());
      std::int64_t at = 0;
      for (const auto& part : in) {
        const auto n = static_cast<std::int64_t>(part.bytes());
        copy_tensor(part, bytes.rows(at, at + n));
        at += n;
      }
    });
  }
  return jobs;
}

Jobs spread_tensor(const HubOp& op, int root) {
  Jobs jobs;
  for (std::size_t r = 0; r < op.in.size(); ++r) {
    if (static_cast<int>(r) == root) continue;
    jobs.emplace_back(
        [from = op.in[static_cast<std::size_t>(root)], to = op.in[r]] { copy_tensor(from, to); });
  }
  return jobs;
}

class HubState : public Ticket::State {
 public:
  HubState(std::shared_ptr<Hub> hub, std::shared_ptr<HubOp> op,
           std::shared_ptr<const std::atomic<double>> timeout, std::function<void(HubOp&)> take)
      : hub_(std::move(hub)),
        op_(std::move(op)),
        timeout_(std::move(timeout)),
        take_(std::move(take)) {}
  bool done() override {
    auto lock = hub_->lock();
    if (op_->status != HubOp::Status::kDone) {
      if (op_->status == HubOp::Status::kGathering) hub_->require_alive();
      return false;
    }
    finish(lock);
    return true;
  }
  void wait() override {
    auto lock = hub_->lock();
    finish(lock);
  }

 private:
  void finish(std::unique_lock<std::mutex>& lock) {
    hub_->wait(lock, *op_, timeout_->load());
    if (take_) take_(*op_);
    take_ = nullptr;
  }
  std::shared_ptr<Hub> hub_;  // shared by all ranks: the last one ends it
  std::shared_ptr<HubOp> op_;
  std::shared_ptr<const std::atomic<double>> timeout_;  // the communicator's, which may go earlier
  std::function<void(HubOp&)> take_;  // hands the numbers to the caller, in the caller's thread
};

class HubCommunicator : public Communicator {
 public:
  HubCommunicator(std::shared_ptr<Hub> hub, std::shared_ptr<HubGroup> group, int rank)
      : hub_(std::move(hub)), group_(std::move(group)), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_->ranks.size()); }

  using Communicator::all_reduce_sum;
  Ticket all_reduce_sum(Tensor& tensor, Wire wire) override {
    check_f32("all_reduce_sum", tensor);
    return join(fmt::format("all_reduce_sum {} as {}", elems_text(tensor), wire_name(wire)),
                {.bring = [&](HubOp& op) { op.in[me()] = tensor; },
                 .work =
                     [wire](const HubOp& op) {
                       Jobs jobs;
                       add_tensors(op.in, kEverybody, wire, jobs);
                       return jobs;
                     },
                 .bytes = tensor.bytes() * group_->ranks.size()});
  }
  Ticket reduce_scatter_sum(std::span<Tensor> parts, Wire wire) override {
    check_parts("reduce_scatter_sum", parts, size());
    check_f32("reduce_scatter_sum", parts.front());
    return join_parts(fmt::format("reduce_scatter_sum as {} of", wire_name(wire)), parts,
                      [wire](const HubOp& op) { return scatter_parts(op, wire); });
  }
  Ticket all_gather_parts(std::span<Tensor> parts) override {
    check_parts("all_gather_parts", parts, size());
    return join_parts("all_gather_parts of", parts, share_parts);
  }
  Ticket all_reduce_sum(std::span<double> numbers) override {
    return join(
        fmt::format("all_reduce_sum f64 [{}]", numbers.size()),
        {.bring = [&](HubOp& op) { op.doubles[me()].assign(numbers.begin(), numbers.end()); },
         .take =
             [numbers](HubOp& op) {
               for (std::size_t i = 0; i < numbers.size(); ++i) {
                 double sum = op.doubles[0][i];
                 for (std::size_t r = 1; r < op.doubles.size(); ++r) sum += op.doubles[r][i];
                 numbers[i] = sum;
               }
             }});
  }
  Ticket all_reduce_max(std::span<std::uint64_t> numbers) override {
    return join(fmt::format("all_reduce_max u64 [{}]", numbers.size()),
                {.bring = [&](HubOp& op) { op.words[me()].assign(numbers.begin(), numbers.end()); },
                 .take =
                     [numbers](HubOp& op) {
                       for (std::size_t i = 0; i < numbers.size(); ++i) {
                         for (const auto& words : op.words) {
                           numbers[i] = std::max(numbers[i], words[i]);
                         }
                       }
                     }});
  }
  Ticket all_gather(const Tensor& mine, Tensor& all) override {
    check_gather(mine, all, size());
    return join(fmt::format("all_gather of {} bytes", mine.bytes()),
                {.bring =
                     [&](HubOp& op) {
                       op.in[me()] = mine;
                       op.out[me()] = all;
                     },
                 .work = gather_tensors,
                 .bytes = all.bytes() * group_->ranks.size()});
  }
  Ticket broadcast(Tensor& tensor, int root) override {
    check_rank("broadcast", root, size());
    return join(fmt::format("broadcast from {} of {} bytes", root, tensor.bytes()),
                {.bring = [&](HubOp& op) { op.in[me()] = tensor; },
                 .work = [root](const HubOp& op) { return spread_tensor(op, root); },
                 .bytes = tensor.bytes() * group_->ranks.size()});
  }
  Ticket barrier() override { return join("barrier", {}); }

  Ticket send(const Tensor& tensor, int to, int tag) override {
    check_rank("send", to, size());
    check_tag("send", tag);
    return message(tensor, rank_, to, tag, true);
  }
  Ticket receive(Tensor& tensor, int from, int tag) override {
    check_rank("receive", from, size());
    check_tag("receive", tag);
    return message(tensor, from, rank_, tag, false);
  }

  std::uint64_t events() const override {
    const auto held = hub_->lock();
    return hub_->events();
  }
  void wait_event(std::uint64_t seen, double seconds) override {
    auto lock = hub_->lock();
    hub_->wait_event(lock, seen, seconds);
  }

  std::vector<std::string> gather_text(const std::string& mine) override {
    std::vector<std::string> all;
    join("gather_text", {.bring = [&](HubOp& op) { op.texts[me()] = mine; },
                         .take = [&all](HubOp& op) { all = op.texts; }})
        .wait();
    return all;
  }
  std::unique_ptr<Communicator> subgroup(std::span<const int> members) override {
    check_members(members, size());
    std::shared_ptr<HubGroup> child;
    std::vector<int> ranks;
    for (const int member : members)
      ranks.push_back(group_->ranks[static_cast<std::size_t>(member)]);
    join(fmt::format("subgroup of ranks {}", fmt::join(members, ", ")),
         {.bring =
              [&](HubOp& op) {
                if (op.child == nullptr) op.child = std::make_shared<HubGroup>(ranks);
              },
          .take = [&child](HubOp& op) { child = op.child; }})
        .wait();
    const auto* const found = std::find(members.data(), members.data() + members.size(), rank_);
    if (found == members.data() + members.size()) return nullptr;
    return std::make_unique<HubCommunicator>(hub_, child, static_cast<int>(found - members.data()));
  }
  std::unique_ptr<Communicator> duplicate() override {
    std::vector<int> members(group_->ranks.size());
    std::iota(members.begin(), members.end(), 0);
    return subgroup(members);
  }
  void abort(int exit_code) override {
    const auto held = hub_->lock();
    hub_->fail(
        fmt::format("rank {} ended the job with exit code {}", group_->ranks[me()], exit_code));
  }
  void set_peer_timeout(double seconds) override { timeout_->store(seconds); }

 private:
  /// What one rank does in a collective call; absent parts do nothing.
  struct Part {
    std::function<void(HubOp&)> bring = nullptr;
    std::function<Jobs(const HubOp&)> work = nullptr;  // once all are there
    std::function<void(HubOp&)> take = nullptr;        // in the rank's thread once it is done
    std::size_t bytes = 0;                             // about what the work moves
  };
  std::size_t me() const { return static_cast<std::size_t>(rank_); }
  Ticket join_parts(const std::string& name, std::span<const Tensor> parts,
                    std::function<Jobs(const HubOp&)> work) {
    std::size_t bytes = 0;
    std::string sizes;
    for (const auto& part : parts) {
      bytes += part.bytes();
      sizes += " " + elems_text(part);
    }
    return join(name + sizes,
                {.bring = [&](HubOp& op) { op.parts[me()].assign(parts.begin(), parts.end()); },
                 .work = std::move(work),
                 .bytes = bytes * group_->ranks.size()});
  }
  static std::string elems_text(const Tensor& tensor) {
    return fmt::format("{} [{}]", core::dtype_name(tensor.dtype()), tensor.elems());
  }
  std::shared_ptr<HubOp> new_op(const std::string& name, const std::vector<int>& missing) {
    auto op = std::make_shared<HubOp>();
    op->name = name;
    op->missing = missing;
    const std::size_t n = group_->ranks.size();
    op->in.resize(n);
    op->out.resize(n);
    op->parts.resize(n);
    op->doubles.resize(n);
    op->words.resize(n);
    op->texts.resize(n);
    return op;
  }
  Ticket ticket(std::shared_ptr<HubOp> op, std::function<void(HubOp&)> take = nullptr) {
    return Ticket(std::make_shared<HubState>(hub_, std::move(op), timeout_, std::move(take)));
  }
  Ticket join(const std::string& name, const Part& part);
  Ticket message(const Tensor& tensor, int from, int to, int tag, bool sends);

  std::shared_ptr<Hub> hub_;         // shared by all ranks
  std::shared_ptr<HubGroup> group_;  // shared by the ranks of the group
  int rank_;
  // Shared with the tickets, which may live longer.
  std::shared_ptr<std::atomic<double>> timeout_ = std::make_shared<std::atomic<double>>(0.0);
};

Ticket HubCommunicator::join(const std::string& name, const Part& part) {
  auto lock = hub_->lock();
  hub_->require_alive();
  const std::int64_t call = group_->calls[me()]++;
  auto& slot = group_->open[call];
  if (slot == nullptr) slot = new_op(name, group_->ranks);
  const auto op = slot;
  op->missing.erase(std::find(op->missing.begin(), op->missing.end(), group_->ranks[me()]));
  if (op->missing.empty()) group_->open.erase(call);
  if (op->name != name && !op->error) {
    op->error.emplace(core::ErrorKind::kComm,
                      fmt::format("collective call {}: rank {} called {}, others {}; want the same "
                                  "calls in the same order on all ranks",
                                  call, group_->ranks[me()], name, op->name));
    hub_->start(lock, op, {}, 0);
  }
  if (op->status == HubOp::Status::kGathering) {
    if (part.bring) part.bring(*op);
    if (op->missing.empty()) hub_->start(lock, op, part.work ? part.work(*op) : Jobs{}, part.bytes);
  }
  return ticket(op, part.take);
}

Ticket HubCommunicator::message(const Tensor& tensor, int from, int to, int tag, bool sends) {
  auto lock = hub_->lock();
  hub_->require_alive();
  const auto key = std::make_tuple(from, to, tag);
  auto& channel = group_->channels[key];
  auto& mine = sends ? channel.sends : channel.receives;
  auto& theirs = sends ? channel.receives : channel.sends;
  while (!theirs.empty() && theirs.front()->status == HubOp::Status::kDone) theirs.pop_front();
  if (theirs.empty()) {
    const int peer = group_->ranks[static_cast<std::size_t>(sends ? to : from)];
    auto op = new_op(
        fmt::format("{} rank {}, tag {}", sends ? "send to" : "receive from", peer, tag), {peer});
    mine.push_back(op);
    if (!sends || from != to) {
      op->in[0] = tensor;
      return ticket(op);
    }
    op->in[0] = Tensor::empty(tensor.shape(), tensor.dtype());  // nobody else could receive it
    copy_tensor(tensor, op->in[0]);
    return {};
  }
  const auto op = theirs.front();
  theirs.pop_front();
  if (channel.sends.empty() && channel.receives.empty()) group_->channels.erase(key);
  Tensor source = sends ? tensor : op->in[0];
  Tensor target = sends ? op->in[0] : tensor;
  if (source.bytes() != target.bytes()) {
    op->error.emplace(core::ErrorKind::kComm,
                      fmt::format("message from rank {} to rank {}, tag {}: sent {}, received {}",
                                  group_->ranks[static_cast<std::size_t>(from)],
                                  group_->ranks[static_cast<std::size_t>(to)], tag, source.text(),
                                  target.text()));
    hub_->start(lock, op, {}, 0);
  } else {
    const std::size_t bytes = source.bytes();
    Jobs jobs;
    jobs.emplace_back(
        [from = std::move(source), to = std::move(target)] { copy_tensor(from, to); });
    hub_->start(lock, op, std::move(jobs), bytes);
  }
  return ticket(op);
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_hub_world(int ranks) {
  check_rank("world", 0, ranks);
  auto hub = std::make_shared<Hub>(ranks);
  std::vector<int> all(static_cast<std::size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  auto group = std::make_shared<HubGroup>(all);
  std::vector<std::unique_ptr<Communicator>> world;
  world.reserve(all.size());
  for (const int rank : all) world.push_back(std::make_unique<HubCommunicator>(hub, group, rank));
  return world;
}

}  // namespace rw::comm
