// Part of Ropewalk, MIT licence.
#include "pipeline/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <utility>

#include "core/error.h"
#include "pipeline/plan_check.h"
#include "pipeline/planners.h"
#include "pipeline/simulate.h"

namespace rw::pipeline {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// A number that grows evenly with the micro-batches of a replica, known at two counts of them.
struct Line {
  std::int64_t first = 0, second = 0;

  double at(std::int64_t count, double a, double b) const {
    return b +
           (b - a) * (static_cast<double>(count - second) / static_cast<double>(second - first));
  }
  std::int64_t at(std::int64_t count, std::int64_t a, std::int64_t b) const {
    constexpr auto kMost = std::int64_t{1} << 61;
    __extension__ using Wide = __int128;
    const Wide out = b + Wide{b - a} * (count - second) / (second - first);
    if (out <= kMost) return static_cast<std::int64_t>(std::max<Wide>(0, out));
    throw core::Error(core::ErrorKind::kRecipe,
                      fmt::format("memory: got a job in which one rank needs more than {} bytes; "
                                  "try another pipeline.schedule, fewer micro-batches a replica, "
                                  "or shorter sequences",
                                  kMost));
  }
};

/// The plans of a job, or of a part of it, and the ranks that do alike in them.
class Job {
 public:
  /// `replicas`: how many of these plans the job has side by side.
  Job(const TrainerOptions& options, std::int64_t prefetch_steps, PlanCycle plans, int replicas)
      : options_(options), prefetch_steps_(prefetch_steps), plans_(std::move(plans)) {
    ranks_ = plans_.plans.front().ranks();
    time(plans_.plans.front());
    for (Plan& plan : plans_.plans) place_beside(plan, replicas);
    layout_ = make_layout(options.model, plans_.plans.front(), options.pipeline.stage_split);
    find_kinds();
  }

  const Plan& plan() const { return plans_.plans.front(); }
  const Layout& layout() const { return layout_; }
  const Timeline& timeline() const { return timeline_; }
  int ranks() const { return ranks_; }  // that do something
  /// Per rank of these: the first one that does alike.
  const std::vector<int>& alike() const { return alike_; }

  RankMemory memory(int rank) {
    PlanCycle mine;
    mine.full_every = plans_.full_every;
    // What others do takes room and is not looked at.
    for (Plan& plan : plans_.plans) {
      auto all = std::exchange(plan.operations, {});
      mine.plans.push_back(plan);
      plan.operations = std::move(all);
      mine.plans.back().operations.resize(plan.operations.size());
      mine.plans.back().operations[at(rank)] = plan.operations[at(rank)];
    }
    return predict_memory(options_, prefetch_steps_, rank, mine, layout_);
  }

 private:
  void time(const Plan& plan) {
    const Layout alone = make_layout(options_.model, plan, options_.pipeline.stage_split);
    Costs costs;
    costs.forward = costs.backward_input = costs.backward_weight =
        stage_costs(options_.model, alone);
    timeline_ = simulate(plan, costs);
  }

  /// The other replicas hold the same stages; what they do is not written down.
  static void place_beside(Plan& plan, int replicas) {
    plan.predicted.clear();
    const std::vector<std::vector<int>> held = plan.stages_of_rank;
    const std::vector<int> bound = plan.live_bound;
    for (int n = 1; n < replicas; ++n) {
      plan.stages_of_rank.insert(plan.stages_of_rank.end(), held.begin(), held.end());
      plan.live_bound.insert(plan.live_bound.end(), bound.begin(), bound.end());
    }
    plan.operations.resize(plan.stages_of_rank.size());
  }

  /// What tells what a rank's stages hold and with whom it shares them.
  std::string parts_of(int rank) const {
    std::string out;
    const auto share = [&](const std::vector<int>& ranks) {
      const auto place = std::lower_bound(ranks.begin(), ranks.end(), rank) - ranks.begin();
      out += fmt::format(" {}/{}", options_.parallel.zero > 0 ? place : 0, ranks.size());
    };
    for (const int stage : plan().stages_of_rank[at(rank)]) {
      const StageLayout& one = layout_.stages[at(stage)];
      out += fmt::format("stage {} {}{}", one.range.last_layer - one.range.first_layer,
                         one.range.embedding ? "e" : "", one.range.head ? "h" : "");
      share(one.ranks);
      if (one.range.embedding || one.range.head) share(layout_.params.front().ranks);
    }
    return out;
  }

  /// The rank's lists, with micro-batches and stages numbered as they come.
  std::string lists_of(int rank) const {
    std::string out;
    std::map<int, int> numbers;
    for (const Plan& plan : plans_.plans) {
      const auto& held = plan.stages_of_rank[at(rank)];
      out += fmt::format("plan {} {} ", plan.channels.receive_buffers, plan.channels.send_buffers);
      for (const Operation& op : plan.operations[at(rank)]) {
        const auto stage = std::find(held.begin(), held.end(), op.stage) - held.begin();
        const int number =
            numbers.try_emplace(op.micro_batch, static_cast<int>(numbers.size())).first->second;
        out += static_cast<char>('a' + static_cast<int>(op.kind));
        out += fmt::format("{}.{}", number, stage);
      }
    }
    return out;
  }

  void find_kinds() {
    std::map<std::string, int> first;
    for (int rank = 0; rank < ranks_; ++rank) {
      alike_.push_back(first.try_emplace(parts_of(rank) + lists_of(rank), rank).first->second);
    }
  }

  const TrainerOptions& options_;
  std::int64_t prefetch_steps_;
  PlanCycle plans_;
  Layout layout_;
  int ranks_ = 0;
  Timeline timeline_;  // of the first plan, by the elements of its stages
  std::vector<int> alike_;
};

/// How a schedule repeats itself: from `full` micro-batches of a replica on, every `period` more are alike.
struct Rhythm {
  std::int64_t full = 0;
  std::int64_t period = 1;
};

Rhythm rhythm_of(const TrainerOptions& options) {
  const std::int64_t pp = options.parallel.pp;
  const std::string& schedule = options.pipeline.schedule;
  if (schedule == "gpipe") return {2, 1};
  if (schedule == "interleaved") return {2 * pp + 1, pp};
  if (schedule != "skippipe" || pp < 3) return {pp + 2, 1};
  const auto kept = kept_stages(pp, options.pipeline.skip_fraction).value_or(pp);
  return {kept + 2, (pp - 1) / std::gcd(pp - 1, kept - 1)};
}

std::int64_t stages_of(const TrainerOptions& options) {
  const bool chunks = options.pipeline.schedule == "interleaved";
  return options.parallel.pp * (chunks ? options.pipeline.chunks : 1);
}

/// All ranks of a job, from those of one of its replicas.
void add_ranks(const Job& job, const std::map<int, RankMemory>& memory, std::int64_t replicas,
               Forecast& out) {
  std::map<int, std::size_t> kinds;
  for (const auto& [rank, one] : memory) {
    kinds[rank] = out.kinds.size();
    RankKind& kind = out.kinds.emplace_back();
    kind.memory = one;
    for (const auto& param : job.layout().params) {
      if (std::binary_search(param.ranks.begin(), param.ranks.end(), rank)) {
        kind.parameters += param.spec.shape.elems();
      }
    }
  }
  for (std::int64_t n = 0; n < replicas; ++n) {
    for (const int rank : job.alike()) out.kind_of_rank.push_back(kinds.at(rank));
  }
  for (const auto& param : job.layout().params) out.parameters += param.spec.shape.elems();
  out.stages = job.plan().stages;
  out.head_alone = job.plan().head_alone;
}

Forecast forecast_whole(const TrainerOptions& options, std::int64_t prefetch_steps,
                        PlanCycle plans) {
  Job job(options, prefetch_steps, std::move(plans), 1);
  Forecast out;
  out.micro_batches = job.plan().micro_batches();
  out.bubble = job.timeline().mean_bubble();
  std::map<int, RankMemory> memory;
  for (const int rank : job.alike()) {
    if (memory.count(rank) == 0) memory[rank] = job.memory(rank);
  }
  add_ranks(job, memory, 1, out);
  return out;
}

std::map<std::string, std::int64_t> live(const RankMemory& memory) {
  auto out = memory.parts;
  out.erase("gaps");
  return out;
}

/// One replica by itself: at all of its micro-batches where these are few, else at two counts that are a
/// period apart, and where these differ at two larger ones.
class OneReplica {
 public:
  OneReplica(const TrainerOptions& options, std::int64_t prefetch_steps, std::int64_t count,
             const ForecastLimits& limits)
      : options_(options), prefetch_steps_(prefetch_steps), count_(count) {
    const auto [full, period] = rhythm_of(options);
    const std::int64_t near = full + (count - full % period + period) % period;
    counts_ = {near, near + period};
    if (count <= near + 4 * period) counts_ = {count};
    const bool windows = options.pipeline.schedule == "skippipe" && period > 1;
    if (counts_.size() == 1 || windows) return;
    const std::set<int> kinds(last().alike().begin(), last().alike().end());
    const auto apart = static_cast<std::int64_t>(kinds.size());
    const std::int64_t layers = options.model.num_hidden_layers * apart / last().ranks() + 1;
    const std::int64_t most =
        std::min(limits.visits / 2 / stages_of(options), limits.layer_visits / 4 / layers);
    const std::int64_t far = near + period * std::max<std::int64_t>(1, (most - near) / period);
    counts_.insert(counts_.end(), {far, far + period, far + 2 * period});
    if (count <= counts_.back()) counts_ = {count};
  }

  const Job& last() { return job(std::min<std::size_t>(1, counts_.size() - 1)); }

  /// Of a rank, at all its micro-batches.
  RankMemory memory(int rank) {
    RankMemory first = memory(0, rank);
    if (counts_.size() == 1) return first;
    const RankMemory second = memory(1, rank);
    if (live(first) == live(second)) return first.peak_bytes > second.peak_bytes ? first : second;
    std::vector<RankMemory> far;
    for (std::size_t i = counts_.size() / 2; i < counts_.size(); ++i)
      far.push_back(memory(i, rank));
    if (far.size() == 1) far.insert(far.begin(), first);
    const Line line{counts_[counts_.size() - far.size()], counts_.back()};
    RankMemory out;
    for (const auto& [what, bytes] : far.back().parts) {
      const auto before = far.front().parts.find(what);
      out.parts[what] =
          line.at(count_, before == far.front().parts.end() ? 0 : before->second, bytes);
    }
    out.parts["gaps"] = 0;
    for (const auto& [what, bytes] : out.parts) out.peak_bytes += bytes;
    // What grows first fills the gaps; where peaks lie on a line, the gaps go on with them.
    const std::int64_t filled = out.peak_bytes;
    for (const auto& one : far) out.peak_bytes = std::max(out.peak_bytes, one.peak_bytes);
    if (evenly(far)) {
      out.peak_bytes =
          std::max(out.peak_bytes, line.at(count_, far.front().peak_bytes, far.back().peak_bytes));
    }
    out.parts["gaps"] = out.peak_bytes - filled;
    return out;
  }

  double bubble() {
    const double makespan = timed([](const Timeline& line) { return line.makespan; });
    double sum = 0;
    for (std::size_t rank = 0; rank < at(last().ranks()); ++rank) {
      sum += 1 - timed([=](const Timeline& line) {
                   return (1 - line.bubble[rank]) * line.makespan;
                 }) / makespan;
    }
    return sum / last().ranks();
  }

 private:
  Job& job(std::size_t i) {
    auto& out = jobs_[counts_[i]];
    if (!out) {
      ParallelOptions alone = options_.parallel;
      alone.dp = 1;
      out.emplace(options_, prefetch_steps_, plans_for(alone, options_.pipeline, counts_[i]),
                  static_cast<int>(options_.parallel.dp));
    }
    return *out;
  }

  RankMemory memory(std::size_t i, int rank) {
    const auto [at, made] = memory_.try_emplace({counts_[i], rank});
    if (made) at->second = job(i).memory(rank);
    return at->second;
  }

  /// Whether the peaks at three counts lie on a line.
  static bool evenly(const std::vector<RankMemory>& far) {
    return far.size() == 3 &&
           far[2].peak_bytes - far[1].peak_bytes == far[1].peak_bytes - far[0].peak_bytes;
  }

  template <class Value>
  double timed(const Value& value) {
    if (counts_.size() == 1) return value(job(0).timeline());
    const std::size_t from = counts_.size() > 2 ? 1 : 0;
    return Line{counts_[from], counts_.back()}.at(count_, value(job(from).timeline()),
                                                  value(job(counts_.size() - 1).timeline()));
  }

  const TrainerOptions& options_;
  std::int64_t prefetch_steps_, count_;
  std::vector<std::int64_t> counts_;
  std::map<std::int64_t, std::optional<Job>> jobs_;            // by count
  std::map<std::pair<std::int64_t, int>, RankMemory> memory_;  // by count and rank
};

Forecast forecast_large(const TrainerOptions& options, std::int64_t prefetch_steps,
                        std::int64_t micro_batches, const ForecastLimits& limits) {
  const std::int64_t dp = options.parallel.dp;
  OneReplica replica(options, prefetch_steps, (micro_batches + dp - 1) / dp, limits);
  Forecast out;
  out.micro_batches = micro_batches;
  std::map<int, RankMemory> memory;
  for (const int rank : replica.last().alike()) {
    if (memory.count(rank) == 0) memory[rank] = replica.memory(rank);
  }
  out.bubble = replica.bubble();
  add_ranks(replica.last(), memory, dp, out);
  return out;
}

bool small(const TrainerOptions& options, std::int64_t micro_batches,
           const ForecastLimits& limits) {
  const std::int64_t dp = options.parallel.dp;
  const std::int64_t stages = stages_of(options);
  const bool skips = options.pipeline.schedule == "skippipe";
  const std::int64_t apart = options.parallel.zero > 0 || skips ? dp : 1;  // replicas not alike
  const auto count = static_cast<double>(micro_batches);
  const double comparisons = skips ? count * count * static_cast<double>(2 * stages) : 0;
  return micro_batches <= limits.visits / std::max(stages, dp * options.parallel.pp / 16) &&
         micro_batches / dp * apart <= limits.layer_visits / options.model.num_hidden_layers &&
         comparisons <= static_cast<double>(limits.comparisons);
}

}  // namespace

Forecast forecast(const TrainerOptions& options, std::int64_t prefetch_steps,
                  const std::optional<PlanCycle>& given, const ForecastLimits& limits) {
  if (given) return forecast_whole(options, prefetch_steps, *given);
  const std::int64_t micro_batches = options.global_batch_size / options.micro_batch_size;
  require_countable(options.parallel, micro_batches);
  if (!small(options, micro_batches, limits)) {
    return forecast_large(options, prefetch_steps, micro_batches, limits);
  }
  PlanCycle plans = plans_for(options.parallel, options.pipeline, micro_batches);
  require_sound(plans);
  return forecast_whole(options, prefetch_steps, std::move(plans));
}

}  // namespace rw::pipeline
