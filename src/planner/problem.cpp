// Part of Ropewalk, MIT licence.
#include "planner/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "core/error.h"
#include "planner/field.h"

namespace rw::planner {

using core::Error;
using core::ErrorKind;
using core::Json;

namespace {

constexpr int kMaxNodes = 4096;
constexpr int kMaxOperations = 1 << 16;
constexpr int kMaxRotation = 64;
constexpr double kMaxSeconds = 1e6;  // of one operation, transfer or gap: 11 days
constexpr double kMaxFactor = 1e3;
constexpr double kMinBandwidth = 1e-3;

List<Node> read_nodes(const Field& in, int least) {
  List<Node> out;
  for (const auto& field : in.list(Field::kAny, "nodes")) {
    field.only({"name", "site", "forward_s", "memory_micro_batches"});
    Node node;
    node.name = field.has("name") ? field.at("name").text() : fmt::format("n{}", out.size());
    node.forward_s = field.at("forward_s").number(0, true, kMaxSeconds);
    node.memory = field.at("memory_micro_batches").whole(1, kMaxOperations);
    out.push_back(node);
  }
  if (out.count() < least || out.count() > kMaxNodes) {
    in.fail(fmt::format("{} nodes", out.size()), fmt::format("{} to {}", least, kMaxNodes));
  }
  return out;
}

Reduction read_reduction(const Field& in, int nodes) {
  in.only({"latency_s", "bandwidth_bytes_per_s", "gradient_bytes", "max_reduce_s"});
  Reduction out;
  out.latency_s = in.at("latency_s").matrix(nodes, 0, false, kMaxSeconds);
  out.bandwidth = in.at("bandwidth_bytes_per_s").matrix(nodes, kMinBandwidth, false);
  out.gradient_bytes = in.at("gradient_bytes").number(0);
  if (in.has("max_reduce_s")) out.max_s = in.at("max_reduce_s").number(0);
  return out;
}

void read_backward(const Field& in, Problem& out) {
  if (!in.has("split_backward")) {
    out.backward_factor = in.at("backward_factor").number(0, false, kMaxFactor);
    return;
  }
  const Field split = in.at("split_backward");
  split.only({"input_factor", "weight_factor"});
  out.backward_factor = split.at("input_factor").number(0, false, kMaxFactor);
  out.weight_factor = split.at("weight_factor").number(0, false, kMaxFactor);
}

/// What operations and transfers take, and where the loss runs.
void read_costs(const Field& in, int least_nodes, Problem& out) {
  out.nodes = read_nodes(in.at("nodes"), least_nodes);
  out.transfer_s = in.at("transfer_s").matrix(out.size(), 0, false, kMaxSeconds);
  read_backward(in, out);
  out.loss_factor = in.at("loss_factor").number(0, false, kMaxFactor);
  if (in.has("loss_at")) {
    out.loss_at =
        in.at("loss_at").one_of<LossAt>({{"source", LossAt::kSource}, {"last", LossAt::kLast}});
  }
}

/// The other ways to compute and to send that docs/formats/problem.md calls extensions.
void read_extensions(const Field& in, Problem& out) {
  if (in.has("contention")) {
    out.contention = in.at("contention")
                         .one_of<Contention>({{"none", Contention::kNone},
                                              {"fair", Contention::kFair},
                                              {"serial", Contention::kSerial}});
  }
  if (in.has("full_every")) out.full_every = in.at("full_every").whole(1, kMaxOperations);
  if (in.has("rotation")) out.rotation = in.at("rotation").whole(1, kMaxRotation);
}

List<List<int>> read_arrangement(const Field& in, const Problem& problem) {
  List<List<int>> out;
  std::set<int> seen;
  const auto groups = in.list(problem.stages(), "the stages");
  for (std::size_t stage = 0; stage < groups.size(); ++stage) {
    auto& group = out.emplace_back();
    for (const auto& field : groups[stage].list(problem.stage_sizes[stage], "its stage's nodes")) {
      group.push_back(field.whole(0, problem.size() - 1));
      if (!seen.insert(group.back()).second) field.fail(field.shown(), "each node once");
    }
  }
  return out;
}

void check_sizes(const Problem& p, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::kRecipe, where + what); };
  int total = 0;
  for (const int size : p.stage_sizes) total += size;
  if (total != p.size()) {
    fail(fmt::format(".stage_sizes: got a sum of {}, want the number of nodes, {}", total,
                     p.size()));
  }
  if (p.path_length > p.stages()) {
    fail(
        fmt::format(".path_length: got {}, want at most the number of stages, {}: a path visits "
                    "distinct stages",
                    p.path_length, p.stages()));
  }
  if (p.micro_batches() * p.operations_per_path() >= kMaxOperations) {
    fail(fmt::format(".micro_batches_per_source: got {} operations in all, want fewer than {}",
                     p.micro_batches() * p.operations_per_path(), kMaxOperations));
  }
}

/// Each rule alone can be met, and quotas and jumps together.
void check_rules(const Problem& p, const std::string& where) {
  const int visits = p.micro_batches() * (p.path_length - 1);
  const int room = p.rules.stage_quota * (p.stages() - 1);
  if (visits > room) {
    throw Error(
        ErrorKind::kRecipe,
        fmt::format("{}.rules.stage_quota: {} micro-batches visit {} stages each, {} visits, "
                    "but {} stages of quota {} take {}; want a quota of at least {}",
                    where, p.micro_batches(), p.path_length - 1, visits, p.stages() - 1,
                    p.rules.stage_quota, room,
                    (visits + p.stages() - 2) / std::max(1, p.stages() - 1)));
  }
  if (shared_stages(p, Track::kFree).empty()) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("{}.rules: max_jump {} with stage_quota {} leaves no path of {} stages "
                            "for some of the {} micro-batches, or none that was found; want a "
                            "larger jump or quota",
                            where, p.rules.max_jump, p.rules.stage_quota, p.path_length,
                            p.micro_batches()));
  }
}

void check_cycle(const Problem& p, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::kRecipe, where + what); };
  const std::int64_t all_stages = std::int64_t{p.micro_batches()} * (2 * p.stages() + 1);
  if (p.full_every > 0 && all_stages >= kMaxOperations) {
    fail(
        fmt::format(".full_every: got {} operations in an iteration that visits all stages, want "
                    "fewer than {}",
                    all_stages, kMaxOperations));
  }
  if (p.rotation == 0) return;
  const int others = p.stages() - 1;
  const std::int64_t each = std::int64_t{p.micro_batches_per_source} * (p.path_length - 1);
  if (p.rotation * each < others) {
    fail(
        fmt::format(".rotation: in {} iterations a source makes {} visits, and there are {} stages "
                    "to visit; want at least {}",
                    p.rotation, p.rotation * each, others,
                    each == 0 ? std::string("a path_length of 2")
                              : std::to_string((others + each - 1) / each)));
  }
  if (std::int64_t{p.rotation} * p.rules.stage_quota < p.sources() && others > 0) {
    fail(
        fmt::format(".rotation: in {} iterations of stage_quota {} a stage takes {} visits, fewer "
                    "than the {} sources; want at least {}",
                    p.rotation, p.rules.stage_quota, p.rotation * p.rules.stage_quota, p.sources(),
                    (p.sources() + p.rules.stage_quota - 1) / std::max(1, p.rules.stage_quota)));
  }
}

void check_reduction(const Problem& p, const std::string& where) {
  if (p.arrangement.empty() || p.objective == Objective::kIteration) return;
  for (std::size_t stage = 0; stage < p.arrangement.size(); ++stage) {
    const double cost = reduction_s(p.reduction, p.arrangement[stage]);
    if (cost <= p.reduction.max_s + kTolerance) continue;
    throw Error(ErrorKind::kRecipe,
                fmt::format("{}.arrangement[{}]: reducing its gradients takes {:.3f} s, "
                            "reduce.max_reduce_s allows {:.3f}",
                            where, stage, cost, p.reduction.max_s));
  }
}

}  // namespace

Problem problem_from_json(const Json& json, const std::string& where) {
  const Field in(json, where);
  if (in.at("format").text() != "ropewalk-problem/1") {
    in.at("format").fail(in.at("format").shown(), "\"ropewalk-problem/1\"");
  }
  in.only({"format",
           "name",
           "nodes",
           "transfer_s",
           "backward_factor",
           "loss_factor",
           "gap_s",
           "gap_first_forward_s",
           "stage_sizes",
           "path_length",
           "micro_batches_per_source",
           "rules",
           "reduce",
           "objective",
           "loss_at",
           "split_backward",
           "contention",
           "full_every",
           "rotation",
           "arrangement",
           "reference"});
  Problem out;
  out.where = where;
  if (in.has("name")) out.name = in.at("name").text();
  read_costs(in, 2, out);
  const int nodes = out.size();
  out.gap_s = in.at("gap_s").number(0, false, kMaxSeconds);
  out.gap_first_forward_s = in.at("gap_first_forward_s").number(0, false, kMaxSeconds);
  for (const auto& size : in.at("stage_sizes").list(Field::kAny, "stages")) {
    out.stage_sizes.push_back(size.whole(1, nodes));
  }
  if (out.stage_sizes.empty()) in.at("stage_sizes").fail("no stage", "at least one");
  out.path_length = in.at("path_length").whole(1, kMaxNodes);
  out.micro_batches_per_source = in.at("micro_batches_per_source").whole(1, kMaxOperations);
  const Field rules = in.at("rules");
  rules.only({"max_swaps", "max_jump", "stage_quota"});
  out.rules.max_swaps = rules.at("max_swaps").whole(0, kMaxNodes);
  out.rules.max_jump = rules.at("max_jump").whole(1, kMaxNodes);
  out.rules.stage_quota = rules.at("stage_quota").whole(0, kMaxOperations);
  check_sizes(out, where);
  if (in.has("reduce")) out.reduction = read_reduction(in.at("reduce"), nodes);
  if (in.has("objective")) {
    out.objective = in.at("objective")
                        .one_of<Objective>({{"makespan", Objective::kMakespan},
                                            {"iteration", Objective::kIteration}});
  }
  read_extensions(in, out);
  if (in.has("arrangement")) out.arrangement = read_arrangement(in.at("arrangement"), out);
  check_rules(out, where);
  check_cycle(out, where);
  check_reduction(out, where);
  return out;
}

Problem costs_from_json(const Json& json, const std::string& where) {
  Problem out;
  read_costs(Field(json, where), 1, out);
  return out;
}

bool Problem::alike(int a, int b) const {
  if (nodes[a].forward_s != nodes[b].forward_s || nodes[a].memory != nodes[b].memory) return false;
  const auto same = [&](const Matrix& table) {
    if (table.size() == 0) return true;
    for (int other = 0; other < size(); ++other) {
      if (other == a || other == b) continue;
      if (table.at(a, other) != table.at(b, other) || table.at(other, a) != table.at(other, b)) {
        return false;
      }
    }
    return table.at(a, b) == table.at(b, a);
  };
  return same(transfer_s) && same(reduction.latency_s) && same(reduction.bandwidth);
}

int strict_slots(const Problem& problem) {
  const auto divides = [&](int slots) { return problem.micro_batches_per_source % slots == 0; };
  if (!problem.arrangement.empty()) {
    const auto& sources = problem.arrangement.front();
    const int slots = problem.nodes[sources.front()].memory;
    for (const int source : sources) {
      if (problem.nodes[source].memory != slots) return 0;
    }
    return divides(slots) ? slots : 0;
  }
  // The sources are still to be chosen: the most slots that enough nodes have.
  int best = 0;
  for (const auto& node : problem.nodes) {
    if (node.memory <= best || !divides(node.memory)) continue;
    const auto alike =
        std::count_if(problem.nodes.begin(), problem.nodes.end(),
                      [&](const Node& other) { return other.memory == node.memory; });
    if (alike >= problem.sources()) best = node.memory;
  }
  return best;
}

namespace {

/// "2 (4 nodes), 3 (node 7)": the memories of nodes that may be sources, and who has them.
std::string shown_memories(const Problem& problem) {
  std::map<int, List<int>> nodes;
  for (int node = 0; node < problem.size(); ++node) {
    const bool given = !problem.arrangement.empty();
    if (given && std::ranges::count(problem.arrangement.front(), node) == 0) continue;
    nodes[problem.nodes[node].memory].push_back(node);
  }
  std::string out;
  for (const auto& [memory, who] : nodes) {
    const std::string names = who.count() == 1 ? fmt::format("node {}", who.front())
                                               : fmt::format("{} nodes", who.count());
    out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", memory, names);
  }
  return out;
}

}  // namespace

std::string strict_refusal(const Problem& problem) {
  const int slots = strict_slots(problem);
  if (slots == 0) {
    return fmt::format(
        "nodes: got memory_micro_batches {}{}; the strict track wants {} sources of one memory "
        "that divides micro_batches_per_source, which is {}; try equal memories, a "
        "micro_batches_per_source that is a multiple of them, or --track free",
        shown_memories(problem), problem.arrangement.empty() ? "" : " of the arrangement's sources",
        problem.sources(), problem.micro_batches_per_source);
  }
  if (shared_stages(problem, Track::kStrict).empty()) {
    return fmt::format(
        "rules.stage_quota: got {}; the strict track routes at most {} slots through a node and "
        "repeats each path {} times, which leaves no paths for all {} slots over stages of [{}] "
        "nodes; want a larger quota, more nodes behind the sources, or --track free",
        problem.rules.stage_quota, slots, problem.micro_batches_per_source / slots,
        problem.sources() * slots, fmt::join(problem.stage_sizes, ", "));
  }
  return "";
}

std::string named(const Problem& problem, const std::string& what) {
  return problem.where.empty() ? what : problem.where + "." + what;
}

void require_strict(const Problem& problem) {
  const auto why = strict_refusal(problem);
  if (!why.empty()) throw Error(ErrorKind::kRecipe, named(problem, why));
}

double reduction_s(const Reduction& reduction, const List<int>& members) {
  double most = 0;
  if (reduction.latency_s.size() == 0) return most;
  const double share = reduction.gradient_bytes / static_cast<double>(members.size());
  for (const int member : members) {
    double sum = 0;
    for (const int peer : members) {
      if (peer == member) continue;
      sum +=
          2 * (reduction.latency_s.at(member, peer) + share / reduction.bandwidth.at(member, peer));
    }
    most = std::max(most, sum);
  }
  return most;
}

bool path_allowed(const PathRules& rules, const int* stages, int length) {
  int furthest = 0, swaps = 0;
  for (int i = 1; i < length; ++i) {
    const int stage = stages[i];
    if (stage < 1 || std::abs(stage - furthest) > rules.max_jump) return false;
    if (stage < furthest && (stage != furthest - 1 || ++swaps > rules.max_swaps)) return false;
    for (int k = 0; k < i; ++k) {
      if (stages[k] == stage) return false;
    }
    furthest = std::max(furthest, stage);
  }
  return true;
}

}  // namespace rw::planner
