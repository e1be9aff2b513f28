// Part of Ropewalk, MIT licence.
#include "pipeline/agenda.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace rw::pipeline {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

bool passes_back(OpKind kind) {
  return kind == OpKind::kBackward || kind == OpKind::kBackwardInput;
}
bool adds_weights(OpKind kind) {
  return kind == OpKind::kBackward || kind == OpKind::kBackwardWeight;
}
/// What an operation takes when nothing is predicted.
double usual_length(OpKind kind) { return kind == OpKind::kBackward ? 2 : 1; }

}  // namespace

Agenda::Agenda(const Plan& plan, int rank)
    : bound_(plan.live_bound[at(rank)]), keeps_(!plan.forward_only) {
  const auto& list = plan.operations[at(rank)];
  item_of_.assign(list.size(), kNone);
  item_of_receive_.assign(list.size(), kNone);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!computes(list[i].kind)) continue;
    item_of_[i] = fresh_.size();
    Item& item = fresh_.emplace_back();
    item.index = i;
    item.kind = list[i].kind;
  }
  link(plan, rank);
  measure(plan, rank);
  begin();
}

/// What each item needs: a message, or other items of this rank.
void Agenda::link(const Plan& plan, int rank) {
  const auto& list = plan.operations[at(rank)];
  std::map<std::pair<int, int>, std::size_t> forward, input;        // items
  std::map<std::pair<int, int>, std::size_t> activation, gradient;  // receives
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::pair key{list[i].micro_batch, list[i].stage};
    if (list[i].kind == OpKind::kForward) forward[key] = item_of_[i];
    if (passes_back(list[i].kind)) input[key] = item_of_[i];
    if (list[i].kind == OpKind::kReceiveActivation) activation[key] = i;
    if (list[i].kind == OpKind::kReceiveGradient) gradient[key] = i;
  }
  for (Item& item : fresh_) {
    const Operation& op = list[item.index];
    const std::pair key{op.micro_batch, op.stage};
    const auto& path = plan.paths[at(op.micro_batch)];
    const bool is_forward = op.kind == OpKind::kForward;
    if (!is_forward) item.before.push_back(forward.at(key));
    if (op.kind == OpKind::kBackwardWeight) {
      item.before.push_back(input.at(key));
      continue;
    }
    const int from = position_in(path, op.stage) + (is_forward ? -1 : 1);
    if (from < 0 || at(from) == path.size()) continue;
    const Visit& other = path[at(from)];
    if (other.rank == rank) {
      item.before.push_back((is_forward ? forward : input).at({op.micro_batch, other.stage}));
      continue;
    }
    item.receive = (is_forward ? activation : gradient).at(key);
    item_of_receive_[item.receive] = item_of_[item.index];
  }
}

/// Tails: per micro-batch the lengths of all its operations and of its messages, from the back of its
/// path to the front. An operation's place in the path is unique: forwards by station, then inputs
/// from the last station, each with its weights beside it.
void Agenda::measure(const Plan& plan, int rank) {
  const auto place = [&](const Operation& op) {
    const auto& path = plan.paths[at(op.micro_batch)];
    const int station = position_in(path, op.stage);
    const int last = static_cast<int>(path.size()) - 1;
    return op.kind == OpKind::kForward ? station : 2 * last + 1 - station;
  };
  std::map<std::tuple<int, int>, double> length;  // (micro-batch, place): weights not counted
  for (int r = 0; r < plan.ranks(); ++r) {
    const auto& list = plan.operations[at(r)];
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Operation& op = list[i];
      const bool counts = (computes(op.kind) && op.kind != OpKind::kBackwardWeight) || op.sends();
      if (!counts) continue;
      Operation maker = op;
      if (op.kind == OpKind::kSendActivation) maker.kind = OpKind::kForward;
      if (op.kind == OpKind::kSendGradient) maker.kind = OpKind::kBackward;
      const double unpredicted = op.sends() ? 0 : usual_length(op.kind);
      length[{op.micro_batch, place(maker)}] +=
          plan.predicted.empty() ? unpredicted : plan.predicted[at(r)][i].length();
    }
  }
  std::map<std::tuple<int, int>, double> tail;
  double sum = 0;
  int micro_batch = -1;
  for (auto one = length.rbegin(); one != length.rend(); ++one) {
    const int m = std::get<0>(one->first);
    if (m != micro_batch) sum = 0;
    micro_batch = m;
    tail[one->first] = sum += one->second;
  }
  for (Item& item : fresh_) {
    const Operation& op = plan.operations[at(rank)][item.index];
    item.tail = op.kind == OpKind::kBackwardWeight ? 0 : tail[{op.micro_batch, place(op)}];
  }
}

void Agenda::begin() {
  items_ = fresh_;
  first_ = 0;
  live_ = 0;
}

void Agenda::arrived(std::size_t index) { items_[item_of_receive_[index]].arrived = true; }

bool Agenda::ready(const Item& item) const {
  if (item.input_done) return true;  // only its weights are left
  if (item.receive != kNone && !item.arrived) return false;
  return std::all_of(item.before.begin(), item.before.end(),
                     [&](std::size_t other) { return through(items_[other]); });
}

/// Of what is kept in memory, by running `item` as `kind`.
int Agenda::change(const Item& item, OpKind kind) {
  if (kind == OpKind::kForward) return 1;
  return kind == OpKind::kBackwardInput && item.kind == OpKind::kBackward ? 0
         : adds_weights(kind)                                             ? -1
                                                                          : 0;
}

void Agenda::done(const Choice& choice) {
  Item& item = items_[item_of_[choice.index]];
  if (keeps_) live_ += change(item, choice.kind);
  if (choice.kind == OpKind::kBackwardInput && item.kind == OpKind::kBackward) {
    item.input_done = true;
  } else {
    item.done = true;
  }
  while (first_ < items_.size() && items_[first_].done) ++first_;
}

std::optional<Choice> Agenda::planned() const {
  if (over() || !ready(items_[first_])) return std::nullopt;
  const Item& item = items_[first_];
  return Choice{item.index, item.input_done ? OpKind::kBackwardWeight : item.kind};
}

/// Goes through what is left in planned order. `most`: the most that is kept at once from here up to
/// an item when all before it run in that order: a forward may come first only when there is room for
/// one more than that. Weights are only ever added in planned order.
template <class Visit>
void Agenda::visit_others(const Visit& visit) const {
  int kept = live_;
  int most = live_;
  bool weights_owed = false;  // by an earlier operation
  for (std::size_t i = first_; i < items_.size(); ++i) {
    const Item& item = items_[i];
    if (item.done) continue;
    const OpKind left = item.input_done ? OpKind::kBackwardWeight : item.kind;
    if (i > first_ && ready(item)) {
      if (left == OpKind::kForward) {
        if (!keeps_ || most + 1 <= bound_) visit(item, left);
      } else if (!adds_weights(left) || !weights_owed) {
        visit(item, left);
      } else if (left == OpKind::kBackward) {
        visit(item, OpKind::kBackwardInput);
      }
    }
    kept += keeps_ ? change(item, left) : 0;
    most = std::max(most, kept);
    weights_owed = weights_owed || adds_weights(left);
  }
}

std::vector<Choice> Agenda::others() const {
  std::vector<Choice> out;
  visit_others([&](const Item& item, OpKind kind) { out.push_back({item.index, kind}); });
  return out;
}

std::optional<Choice> Agenda::other() const {
  std::optional<Choice> best;
  double longest = -1;
  visit_others([&](const Item& item, OpKind kind) {
    const double tail = kind == OpKind::kBackwardWeight ? 0 : item.tail;
    if (tail <= longest) return;
    longest = tail;
    best = Choice{item.index, kind};
  });
  return best;
}

std::optional<std::size_t> Agenda::missing() const {
  if (over()) return std::nullopt;
  const Item& item = items_[first_];
  if (item.receive == kNone || item.arrived || item.input_done) return std::nullopt;
  return item.receive;
}

}  // namespace rw::pipeline
