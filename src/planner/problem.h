// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "core/json.h"
#include "planner/list.h"

namespace rw::planner {

/// Of all times, in seconds: what is no more than this beyond a limit keeps it.
inline constexpr double kTolerance = 1e-3;

/// A square table [N, N]; row: from, column: to.
class Matrix {
 public:
  Matrix() = default;
  explicit Matrix(int n) : n_(n), values_(filled(n * n, 0.0)) {}
  int size() const { return n_; }
  double& at(int from, int to) { return values_[std::int64_t{from} * n_ + to]; }
  double at(int from, int to) const { return values_[std::int64_t{from} * n_ + to]; }

 private:
  int n_ = 0;
  List<double> values_;
};

/// A machine of the pipeline.
struct Node {
  std::string name;
  double forward_s = 0;  // one micro-batch through one stage
  int memory = 1;        // micro-batches held at once between the start of F and the end of B
};

/// Which paths may be walked (papers/skippipe.md §2). f is the highest stage so far.
struct PathRules {
  int max_swaps = 0;    // steps back to f - 1 in one path
  int max_jump = 1;     // |s - f| of any step
  int stage_quota = 0;  // visits of one stage >= 1 in the iteration
};

/// What summing the gradients of a stage over its members costs:
/// max over members of sum over peers of 2 (latency + bytes / (members · bandwidth)).
struct Reduction {
  Matrix latency_s, bandwidth;  // bandwidth in bytes/s
  double gradient_bytes = 0;
  double max_s = std::numeric_limits<double>::infinity();  // cap of the objective makespan
};

enum class Objective : std::uint8_t { kMakespan, kIteration };
enum class LossAt : std::uint8_t { kSource, kLast };
/// What transfers do to each other, per node and direction (docs/formats/problem.md).
enum class Contention : std::uint8_t { kNone, kFair, kSerial };
enum class Track : std::uint8_t { kFree, kStrict };

/// `ropewalk-problem/1` (docs/formats/problem.md): who computes, what a step between two costs, and
/// which paths the micro-batches may walk. Indices are positions in `nodes`. All times in seconds.
struct Problem {
  std::string name;
  std::string where;  // what messages call it: the file, or the recipe key that led to it
  List<Node> nodes;
  Matrix transfer_s;
  double backward_factor = 2;  // of the node's forward; split: of the input's gradient alone
  std::optional<double> weight_factor;  // split: the weight's gradient is an operation of its own
  double loss_factor = 0;               // of the node's forward
  double gap_s = 0;                     // a node stays blocked so long after an operation
  double gap_first_forward_s = 0;       // the same after the forward on the source
  List<int> stage_sizes;
  int path_length = 0;  // L: nodes of a path, the source among them
  int micro_batches_per_source = 0;
  PathRules rules;
  Reduction reduction;
  Objective objective = Objective::kMakespan;
  LossAt loss_at = LossAt::kSource;
  Contention contention = Contention::kNone;
  int full_every = 0;  // every so many iterations all stages are visited; 0: never
  int rotation = 0;  // plans that take turns so that sources visit all stages; 0: one, as it comes
  List<List<int>> arrangement;  // empty: the planner places the nodes

  int size() const { return static_cast<int>(nodes.size()); }
  int stages() const { return static_cast<int>(stage_sizes.size()); }
  int sources() const { return stage_sizes.front(); }
  int micro_batches() const { return sources() * micro_batches_per_source; }
  int loss_node(const int* path) const {
    return loss_at == LossAt::kSource ? path[0] : path[path_length - 1];
  }
  /// Whether exchanging two nodes changes nothing.
  bool alike(int a, int b) const;
  /// F on L nodes, the loss, B on L nodes.
  int operations_per_path() const { return 2 * path_length + 1; }
};

/// Throws core::Error{kRecipe} "WHERE: what: got X, want Y" for JSON that is no problem, and for
/// problems whose numbers no plan can meet, naming the rule.
Problem problem_from_json(const core::Json& json, const std::string& where);
/// The part of it that training needs: nodes (one is enough), transfer_s, the factors and loss_at.
/// All else may be absent, is not read, and is not in what comes back. Throws the same.
Problem costs_from_json(const core::Json& json, const std::string& where);
/// "WHERE.what" for messages about a rule of a problem.
std::string named(const Problem& problem, const std::string& what);
/// Throws core::Error{kRecipe} when the strict track cannot be walked, naming why.
void require_strict(const Problem& problem);
/// M of the strict track, the slots of a source: the memory of the sources, where it is one and divides
/// micro_batches_per_source; else 0. Sources still to be placed: the largest that there can be.
int strict_slots(const Problem& problem);
/// For each job of a track the stages >= 1 of an allowed path, rising, all quotas kept and the stages
/// used as evenly as can be; empty when none was found.
List<List<int>> shared_stages(const Problem& problem, Track track);
/// "" or why the strict track cannot be walked.
std::string strict_refusal(const Problem& problem);

/// The cost of reducing the gradients of a stage held by `members`, in seconds.
double reduction_s(const Reduction& reduction, const List<int>& members);

/// Whether a path over these stages (the first one 0) keeps the rules of order; quotas apart.
bool path_allowed(const PathRules& rules, const int* stages, int length);

}  // namespace rw::planner
