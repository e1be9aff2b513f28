// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <deque>
#include <map>
#include <tuple>

#include "pipeline/plan_check.h"

namespace rw::pipeline {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// Runs all lists in order with bounded channels. What a rank may do never becomes impossible by
/// what another does, so one order of trying tells for all.
class Channel {
 public:
  explicit Channel(const Plan& plan) : plan_(plan), ranks_(plan.operations.size()) {
    for (int rank = 0; rank < plan.ranks(); ++rank) {
      int ordinal = 0;
      for (const Operation& op : plan.operations[at(rank)]) {
        if (op.receives()) receives_[{op.peer, rank, op.tag}] = ordinal++;
      }
    }
  }

  std::string run() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (int rank = 0; rank < plan_.ranks(); ++rank) {
        while (advance(rank)) moved = true;
      }
    }
    for (int rank = 0; rank < plan_.ranks(); ++rank) {
      if (!at_end(rank)) return circle(rank);
    }
    return "";
  }

 private:
  using Message = std::tuple<int, int, int>;  // from, to, tag
  struct Rank {
    std::size_t next = 0;         // operation
    int received = 0;             // receives that are through
    std::deque<Message> sending;  // in order
  };

  const std::vector<Operation>& list(int rank) const { return plan_.operations[at(rank)]; }
  bool at_end(int rank) const { return ranks_[at(rank)].next == list(rank).size(); }

  bool posted(const Message& message) const {
    const int to = std::get<1>(message);
    return receives_.at(message) < ranks_[at(to)].received + plan_.channels.receive_buffers;
  }

  bool advance(int rank) {
    if (at_end(rank)) return false;
    Rank& me = ranks_[at(rank)];
    const Operation& op = list(rank)[me.next];
    if (op.sends()) {
      const Message message{rank, op.peer, op.tag};
      if (sent_.emplace(message, true).second) {
        me.sending.push_back(message);
        return true;
      }
      while (!me.sending.empty() && posted(me.sending.front())) me.sending.pop_front();
      if (static_cast<int>(me.sending.size()) > plan_.channels.send_buffers) return false;
    }
    if (op.receives()) {
      if (sent_.count({op.peer, rank, op.tag}) == 0) return false;
      ++me.received;
    }
    ++me.next;
    return true;
  }

  /// Whom a stuck rank waits for.
  int waits_for(int rank) const {
    const Rank& me = ranks_[at(rank)];
    const Operation& op = list(rank)[me.next];
    return op.receives() ? op.peer : std::get<1>(me.sending.front());
  }

  std::string circle(int rank) const {
    std::vector<int> seen(ranks_.size(), 0);
    while (seen[at(rank)]++ == 0) rank = waits_for(rank);
    std::string text = "deadlock:";
    const int first = rank;
    do {
      const Rank& me = ranks_[at(rank)];
      const Operation& op = list(rank)[me.next];
      text += fmt::format(" rank {} stands at operation {} ({}) and waits for rank {} to {};", rank,
                          me.next, op.text(), waits_for(rank),
                          op.receives() ? "send" : "post its receive");
      rank = waits_for(rank);
    } while (rank != first);
    return text + fmt::format(" with {} receive and {} send buffers a rank",
                              plan_.channels.receive_buffers, plan_.channels.send_buffers);
  }

  const Plan& plan_;
  std::vector<Rank> ranks_;
  std::map<Message, int> receives_;  // ordinal among the receiver's receives
  std::map<Message, bool> sent_;
};

}  // namespace

std::string deadlock_problem(const Plan& plan) { return Channel(plan).run(); }

}  // namespace rw::pipeline
