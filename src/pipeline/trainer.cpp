// Part of Ropewalk, MIT licence.
#include "pipeline/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "core/dry_run.h"
#include "core/error.h"
#include "data/loader.h"
#include "kernels/reduce/reduce.h"
#include "metrics/timer.h"
#include "model/hf.h"
#include "optim/clip.h"
#include "optim/schedule.h"
#include "pipeline/bucket_size.h"
#include "pipeline/classic.h"
#include "pipeline/executor.h"
#include "pipeline/layout.h"
#include "pipeline/pieces.h"
#include "pipeline/plan_watch.h"
#include "pipeline/planners.h"
#include "pipeline/reducer.h"
#include "pipeline/simulate.h"
#include "pipeline/step_numbers.h"
#include "pipeline/timeline.h"
#include "pipeline/value_gather.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;
using core::Tensor;

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// Nothing but memory is asked for (memory.h).
bool dry() { return core::DryRun::current() != nullptr; }

ReduceOptions reduce_options(const TrainerOptions& options, const Pieces& pieces,
                             comm::Communicator& world) {
  ReduceOptions out;
  out.wire = options.parallel.reduce_dtype == "bf16" ? comm::Wire::kBF16 : comm::Wire::kF32;
  out.sharded = options.parallel.zero > 0;
  out.step_tokens = options.global_batch_size * options.seq_len;
  out.bucket_bytes = options.pipeline.bucket_bytes > 0
                         ? options.pipeline.bucket_bytes
                         : choose_bucket_bytes(pieces, world, out.wire);
  return out;
}

std::vector<model::StageRange> ranges_of(const Layout& layout, const std::vector<int>& stages) {
  std::vector<model::StageRange> out;
  out.reserve(stages.size());
  for (const int stage : stages) out.push_back(layout.stages[at(stage)].range);
  return out;
}

/// Percent of the step in which the mean rank neither computes nor reduces, as planned.
double planned_bubble(const model::Options& options, const Layout& layout, const Plan& plan) {
  Costs costs;
  costs.forward = costs.backward_input = costs.backward_weight = stage_costs(options, layout);
  return 100 * simulate(plan, costs).mean_bubble();
}

class Trainer final : public core::Method {
 public:
  Trainer(const TrainerOptions& options, TrainerParts parts, PlanCycle plans);
  core::StepResult step(std::int64_t n) override;
  std::optional<double> validate() override;
  void visit_state(core::StateVisitor& visitor) override;
  void export_model(const std::string& folder) override;

 private:
  Tensor to_device(const Tensor& host);
  void update(std::int64_t n, const Execution& so_far, core::StepResult& result);
  void apply(std::int64_t n, double norm, core::StepResult& result);
  Plan& plan() { return plans_.plans[turn_]; }
  const Plan& plan() const { return plans_.plans[turn_]; }
  void take_turn(std::int64_t n);
  void follow_plan(std::int64_t n, const Execution& done);
  void make_optimizer();
  void make_executor();
  void make_evaluation();
  int stage_of_param(std::size_t param) const;
  std::vector<StageNumbers> own_numbers(const Execution& so_far);
  double norm_of(const StepNumbers& numbers) const;
  std::int64_t await(int bucket);
  std::int64_t need(int bucket);
  void settle();
  Tensor fetch(const ParamLayout& param);

  TrainerOptions options_;
  TrainerParts parts_;
  PlanCycle plans_;
  std::size_t turn_ = 0;  // the one in use
  Layout layout_;
  core::Stream stream_;
  std::shared_ptr<model::Params> params_;  // shared with the stages
  std::map<int, std::unique_ptr<model::Stage>> stages_;
  std::map<int, model::Stage*> stage_of_;
  std::vector<const ParamLayout*> layout_of_;  // of params_->all
  std::unique_ptr<Pieces> pieces_;
  std::vector<Segment> owned_;    // whose gradients this rank adds to the norm
  std::vector<Segment> updated_;  // what its optimizer updates: owned_ when sharded, or everything
  ReduceOptions reducing_;
  std::unique_ptr<Reducer> reducer_;
  std::unique_ptr<ValueGather> values_;  // when sharded
  std::unique_ptr<optim::Adamw> optimizer_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::int64_t> needed_;
  std::unique_ptr<data::Loader> loader_;
  MicroBatchSizes sizes_;
  StepNumbers numbers_;               // of the step that is under way, once all ranks know them
  std::vector<double> stage_factor_;  // per stage: what its gradients are multiplied by
  PlanWatch watch_;
  double bubble_pct_planned_ = 0;
  std::uint64_t step_ = 0;  // done

  Plan evaluation_plan_;
  std::unique_ptr<Executor> evaluator_;
  MicroBatchSizes evaluation_sizes_;
};

Trainer::Trainer(const TrainerOptions& options, TrainerParts parts, PlanCycle plans)
    : options_(options),
      parts_(std::move(parts)),
      plans_(std::move(plans)),
      layout_(parts_.layout != nullptr
                  ? *parts_.layout
                  : make_layout(options.model, plan(), options.pipeline.stage_split)),
      stream_(options.device),
      watch_(options.pipeline.replan_share, parts_.replan) {
  const int rank = parts_.world.rank();
  const auto held = layout_.stages_of(rank);
  const auto ranges = ranges_of(layout_, held);
  params_ = model::make_params(options_.model, ranges, options_.device);
  params_->drop_grad();  // the moments lie there now, and no step finds gaps in its memory
  if (options_.model.from.empty()) {
    params_->initialise(options_.model, options_.seed);
  } else {
    model::load_hf(options_.model.from, options_.model, *params_);
  }
  if (options_.compute == core::DType::kBF16) params_->compute_in_bf16();
  for (std::size_t i = 0; i < held.size(); ++i) {
    auto& stage = stages_[held[i]];
    stage = std::make_unique<model::Stage>(options_.model, ranges[i], params_, options_.device,
                                           options_.recompute);
    stage_of_[held[i]] = stage.get();
  }
  make_optimizer();
  sizes_.rows.assign(plan().paths.size(), options_.micro_batch_size);
  sizes_.tokens = options_.seq_len;
  sizes_.gradient_scale = 1.0F / static_cast<float>(options_.global_batch_size * options_.seq_len);
  make_executor();
  if (parts_.validation != nullptr) make_evaluation();
}

void Trainer::make_optimizer() {
  for (const model::Param& param : params_->all) {
    layout_of_.push_back(
        &*std::find_if(layout_.params.begin(), layout_.params.end(),
                       [&](const ParamLayout& one) { return one.spec.name == param.spec.name; }));
  }
  pieces_ = std::make_unique<Pieces>(layout_, *params_, parts_.world);
  const ReduceOptions& reducing = reducing_ = reduce_options(options_, *pieces_, parts_.world);
  owned_ = owned_segments(*pieces_, *params_);
  updated_ = reducing.sharded ? owned_ : whole_segments(*params_);
  optimizer_ = std::make_unique<optim::Adamw>(options_.optimizer, adamw_params(*params_, updated_));
  if (reducing.sharded) {
    values_ = std::make_unique<ValueGather>(*pieces_, *params_, updated_, reducing.bucket_bytes);
  }
}

/// All that depends on the plan and not on where stages live.
void Trainer::make_executor() {
  const int rank = parts_.world.rank();
  reducer_ =
      std::make_unique<Reducer>(*pieces_, plan(), rank, *params_, stage_of_, reducing_, stream_);
  executor_ = std::make_unique<Executor>(
      plan(), stage_of_, parts_.world, stream_,
      ExecutorOptions{options_.model.hidden_size, options_.pipeline.patience_ms / 1e3,
                      parts_.trace});
  if (!dry()) bubble_pct_planned_ = planned_bubble(options_.model, layout_, plan());
  const auto needed = plans_.needed_on(rank);
  if (loader_ != nullptr && needed == needed_) return;
  needed_ = needed;
  data::LoaderOptions loading;
  loading.micro_batch_size = options_.micro_batch_size;
  loading.seq_len = options_.seq_len;
  loading.micro_batches = needed_;
  loading.threads = parts_.loader_threads;
  loading.prefetch_steps = parts_.prefetch_steps;
  loader_ = std::make_unique<data::Loader>(parts_.corpora, parts_.order, std::move(loading));
}

void Trainer::make_evaluation() {
  const auto count = parts_.validation->micro_batches();
  evaluation_plan_ = plan_forward(plan(), static_cast<int>(count));
  evaluation_sizes_.tokens = options_.seq_len;
  for (std::int64_t m = 0; m < count; ++m) {
    evaluation_sizes_.rows.push_back(parts_.validation->micro_batch(m).batch);
  }
  ExecutorOptions in_order;
  in_order.hidden_size = options_.model.hidden_size;
  evaluator_ =
      std::make_unique<Executor>(evaluation_plan_, stage_of_, parts_.world, stream_, in_order);
}

/// Returns once the values of `bucket` are there: how long that took, in ns; 0 when none were on their way
/// (two readings of the clock would make a wait of a thread that lost its core between them).
std::int64_t Trainer::await(int bucket) {
  if (values_ == nullptr) return 0;
  const std::int64_t begin = metrics::now_ns();
  return values_->wait(bucket) ? metrics::now_ns() - begin : 0;
}

/// A forward is about to read the values of `bucket`. Returns how long it had to wait, in ns.
std::int64_t Trainer::need(int bucket) {
  const std::int64_t waited = await(bucket);
  params_->hold_copies(bucket, stream_);
  return waited;
}

/// All values are there and may be read and changed by whoever wants to.
void Trainer::settle() {
  for (int bucket = 0; bucket < params_->buckets; ++bucket) await(bucket);
}

Tensor Trainer::to_device(const Tensor& host) {
  if (options_.device.kind == core::DeviceKind::kCpu) return host;
  Tensor out = Tensor::empty(host.shape(), host.dtype(), options_.device);
  core::copy(host, out, stream_);
  return out;
}

core::StepResult Trainer::step(std::int64_t n) {
  core::StepResult result;
  take_turn(n);
  const auto& data = loader_->wait(n);
  result.data_wait_ms = loader_->last_wait_ms();
  const auto batch = [&](int m) -> const data::MicroBatchData& {
    const auto found = std::lower_bound(needed_.begin(), needed_.end(), m);
    return data[at(found - needed_.begin())];
  };
  params_->drop_grad();
  reducer_->begin([&](int m) { return batch(m).token_ids; });
  ExecutorHooks hooks;
  hooks.token_ids = [&](int m) { return to_device(batch(m).token_ids); };
  hooks.targets = [&](int m) { return to_device(batch(m).targets); };
  hooks.bucket_needed = [&](int bucket) { return need(bucket); };
  hooks.bucket_done = [&](int stage, int bucket) {
    if (reducer_->bucket_done(stage, bucket)) params_->drop_copies(bucket);
  };
  hooks.reduce = [&](int stage) {
    for (const int bucket : stage_of_.at(stage)->buckets()) params_->hold_grad(bucket, stream_);
    stream_.sync();
    reducer_->finish(stage);
  };
  hooks.update = [&](const Execution& so_far) { update(n, so_far, result); };
  if (options_.emulation) {
    hooks.least_s = [&](const Operation& op, OpKind kind) {
      return options_.emulation->least_s(plan(), parts_.world.rank(), op, kind, n);
    };
  }
  const Execution done = executor_->run(sizes_, hooks);
  result.comm_exposed_ms += static_cast<double>(done.waiting_ns) / 1e6;
  result.bubble_pct_planned = bubble_pct_planned_;
  step_ = static_cast<std::uint64_t>(n);
  if (!dry()) follow_plan(n, done);
  return result;
}

/// The plan of step n.
void Trainer::take_turn(std::int64_t n) {
  if (plans_.of_step(n) == turn_) return;
  turn_ = plans_.of_step(n);
  make_executor();
}

/// Between two steps: what happened is written down, and another plan may take over.
void Trainer::follow_plan(std::int64_t n, const Execution& done) {
  const std::int64_t interval = options_.timeline_interval;
  if (interval > 0 && (n == 2 || n % interval == 0)) {
    auto timeline = gather_timeline(parts_.world, plan(), n, done);
    if (timeline) timeline->plan = plans_.name_of(n);
    if (timeline && parts_.timeline) parts_.timeline(*timeline);
  }
  auto next = watch_.after_step(n, plan(), numbers_, parts_.world);
  if (!watch_.note().empty() && parts_.note) parts_.note(watch_.note());
  if (!next) return;
  plan() = std::move(*next);
  plans_.since = n + 1;
  make_executor();
}

/// The stage, held here, that a parameter's gradients are counted and normalised with. A tied embedding
/// has two: every micro-batch visits both.
int Trainer::stage_of_param(std::size_t param) const {
  const auto& stages = layout_of_[param]->stages;
  return *std::find_if(stages.begin(), stages.end(),
                       [&](int stage) { return stage_of_.count(stage) > 0; });
}

/// What this rank adds to the numbers of the step.
std::vector<StageNumbers> Trainer::own_numbers(const Execution& so_far) {
  const int rank = parts_.world.rank();
  auto out = stage_times(plan(), rank, so_far.times);
  const auto& held = plan().stages_of_rank[at(rank)];
  for (const Segment& segment : owned_) {
    const auto grad = params_->all[segment.param].grad.flat(segment.begin, segment.end);
    const auto place =
        std::find(held.begin(), held.end(), stage_of_param(segment.param)) - held.begin();
    out[at(place)].squares += kernels::sum_of_squares(grad, stream_);
  }
  return out;
}

/// Rank by rank, each stage by stage.
double Trainer::norm_of(const StepNumbers& numbers) const {
  double squares = 0;
  for (std::size_t rank = 0; rank < numbers.stages.size(); ++rank) {
    double of_rank = 0;
    for (std::size_t i = 0; i < numbers.stages[rank].size(); ++i) {
      const double factor = stage_factor_[at(plan().stages_of_rank[rank][i])];
      of_rank += numbers.stages[rank][i].squares * factor * factor;
    }
    squares += of_rank;
  }
  return std::sqrt(squares);
}

void Trainer::update(std::int64_t n, const Execution& so_far, core::StepResult& result) {
  params_->drop_copies();
  for (int bucket = 0; bucket < params_->buckets; ++bucket) params_->hold_grad(bucket, stream_);
  numbers_ = exchange(plan(), parts_.world, so_far, own_numbers(so_far), watch_.offers());
  result.loss = numbers_.loss();
  result.tokens = static_cast<std::int64_t>(numbers_.tokens());
  result.bubble_pct = numbers_.bubble_pct();
  // Accumulated as if every token of a full batch had visited every stage.
  const auto full = static_cast<double>(options_.global_batch_size * options_.seq_len);
  stage_factor_.clear();
  for (const double tokens : numbers_.tokens_of_stages(plan())) {
    stage_factor_.push_back(tokens > 0 ? full / tokens : 0);
  }
  result.grad_norm = norm_of(numbers_);
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm)) {
    throw Error(
        ErrorKind::kNonFinite,
        fmt::format("step {}: got loss {}, gradient norm {}, want finite numbers; no weight "
                    "was changed; try a lower optimizer.lr, more lr_scheduler.warmup_steps, "
                    "or go on from an earlier checkpoint with --resume STEP",
                    n, result.loss, result.grad_norm));
  }
  apply(n, result.grad_norm, result);
  params_->drop_grad();  // the optimizer is done, the stream too
}

void Trainer::apply(std::int64_t n, double norm, core::StepResult& result) {
  result.lr = optim::learning_rate(options_.optimizer, options_.schedule, n, options_.max_steps);
  const double clip = optim::clip_factor(norm, options_.clip_grad_norm);
  std::vector<float> scales;
  for (const Segment& segment : updated_) {
    const double factor = stage_factor_[at(stage_of_param(segment.param))];
    scales.push_back(static_cast<float>(clip * factor));
  }
  if (values_ == nullptr) {
    optimizer_->update(n, result.lr, scales, stream_);
    stream_.sync();
    return;
  }
  const std::int64_t waiting = metrics::now_ns();
  settle();  // what no forward of this step read
  result.comm_exposed_ms += static_cast<double>(metrics::now_ns() - waiting) / 1e6;
  values_->begin();
  const auto send = [&](std::size_t count) {
    stream_.sync();  // the values are complete before they travel
    values_->updated(count);
  };
  optimizer_->update(n, result.lr, scales, send, stream_);
}

std::optional<double> Trainer::validate() {
  if (evaluator_ == nullptr) return std::nullopt;
  std::map<int, data::MicroBatchData> read;
  const auto batch = [&](int m) -> const data::MicroBatchData& {
    auto& one = read[m];
    if (one.batch == 0) one = parts_.validation->micro_batch(m);
    return one;
  };
  ExecutorHooks hooks;
  hooks.token_ids = [&](int m) { return to_device(batch(m).token_ids); };
  hooks.targets = [&](int m) { return to_device(batch(m).targets); };
  hooks.bucket_needed = [&](int bucket) { return need(bucket); };
  Execution done = evaluator_->run(evaluation_sizes_, hooks);
  parts_.world.all_reduce_sum(std::span<double>(done.loss_sums)).wait();
  double loss = 0;
  double tokens = 0;
  for (std::size_t m = 0; m < done.loss_sums.size(); ++m) {
    loss += done.loss_sums[m];
    tokens += static_cast<double>(evaluation_sizes_.rows[m] * evaluation_sizes_.tokens);
  }
  return loss / tokens;
}

void Trainer::visit_state(core::StateVisitor& visitor) {
  settle();
  params_->drop_copies();
  visitor.number("step", step_);
  visitor.number("seed", options_.seed);
  const auto first = [&](std::size_t param) {
    return layout_of_[param]->ranks.front() == parts_.world.rank();
  };
  for (std::size_t i = 0; i < params_->all.size(); ++i) {
    visitor.tensor({params_->all[i].spec.name, "param", first(i)}, params_->all[i].value);
  }
  for (std::size_t i = 0; i < updated_.size(); ++i) {
    const Segment& segment = updated_[i];
    const model::ParamSpec& spec = params_->all[segment.param].spec;
    const bool owned = values_ != nullptr || first(segment.param);
    const auto visit = [&](const char* kind, Tensor& moments) {
      visitor.tensor({spec.name, kind, owned, spec.shape, segment.begin}, moments);
    };
    visit("exp_avg", optimizer_->exp_avg(i));
    visit("exp_avg_sq", optimizer_->exp_avg_sq(i));
  }
}

/// The values of one parameter on rank 0, from its owner. Both call this; others need not.
Tensor Trainer::fetch(const ParamLayout& param) {
  constexpr int kTag = 0;  // no other message is under way between steps
  const int owner = param.ranks.front();
  const int rank = parts_.world.rank();
  if (owner == 0) return rank == 0 ? params_->find(param.spec.name)->value : Tensor();
  if (rank == owner) {
    parts_.world.send(params_->find(param.spec.name)->value, 0, kTag).wait();
    return {};
  }
  Tensor out = Tensor::empty(param.spec.shape, core::DType::kF32, options_.device);
  parts_.world.receive(out, owner, kTag).wait();
  return out;
}

void Trainer::export_model(const std::string& folder) {
  settle();
  std::size_t next = 0;
  if (parts_.world.rank() == 0) {
    model::export_hf(folder, options_.model, [&](const model::ParamSpec& spec) {
      const ParamLayout& param = layout_.params.at(next++);
      if (param.spec.name != spec.name) {
        throw Error(ErrorKind::kBug, "export: parameters come out of order at " + spec.name);
      }
      return fetch(param);
    });
  } else {
    for (const ParamLayout& param : layout_.params) {
      if (param.ranks.front() == parts_.world.rank()) fetch(param);
    }
  }
}

}  // namespace

std::unique_ptr<core::Method> make_trainer(const TrainerOptions& options, TrainerParts parts) {
  if (options.global_batch_size % options.micro_batch_size != 0) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("train.global_batch_size: got {}, want a multiple of "
                            "train.micro_batch_size {}",
                            options.global_batch_size, options.micro_batch_size));
  }
  const std::int64_t micro_batches = options.global_batch_size / options.micro_batch_size;
  return make_trainer(options, std::move(parts),
                      plans_for(options.parallel, options.pipeline, micro_batches));
}

std::unique_ptr<core::Method> make_trainer(const TrainerOptions& options, TrainerParts parts,
                                           PlanCycle plans) {
  if (dry()) return std::make_unique<Trainer>(options, std::move(parts), std::move(plans));
  require_sound(plans);
  const Plan& plan = plans.plans.front();
  if (plan.ranks() != parts.world.size() ||
      plan.micro_batches() * options.micro_batch_size != options.global_batch_size) {
    throw Error(ErrorKind::kRecipe,
                fmt::format("plan {}: got {} ranks, {} micro-batches; want {} ranks, {} "
                            "micro-batches of {} rows",
                            plan.schedule, plan.ranks(), plan.micro_batches(), parts.world.size(),
                            options.global_batch_size / options.micro_batch_size,
                            options.micro_batch_size));
  }
  return std::make_unique<Trainer>(options, std::move(parts), std::move(plans));
}

}  // namespace rw::pipeline
