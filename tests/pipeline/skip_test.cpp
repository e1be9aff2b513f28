// Part of Ropewalk, MIT licence.
// Training on plans of paths: gradients, bits, late messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>

#include "collected.h"
#include "comm/faulty.h"
#include "core/error.h"
#include "data/loader.h"
#include "forwarding.h"
#include "pipeline/layout.h"
#include "pipeline/planners.h"
#include "pipeline/step_numbers.h"
#include "pipeline/trainer.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::Collected;
using test::TinyJob;

struct SkippingJob : TinyJob {
  SkippingJob(int dp, int pp, double fraction, bool tied = false) : TinyJob(tied) {
    options.parallel.dp = dp;
    options.parallel.pp = pp;
    options.pipeline.schedule = "skippipe";
    options.pipeline.skip_fraction = fraction;
  }
};

struct Outcome {
  std::vector<core::StepResult> steps;
  std::map<std::string, std::vector<float>> state;
};

using Wrap = std::function<std::unique_ptr<comm::Communicator>(comm::Communicator&)>;

/// Trains some steps; `wrap` may put a communicator of its own before a rank's.
Outcome train(const TinyJob& job, int steps, const Wrap& wrap = nullptr) {
  const auto ranks = static_cast<int>(job.options.parallel.dp * job.options.parallel.pp);
  Outcome out;
  Collected collected;
  test::on_ranks(ranks, [&](comm::Communicator& world) {
    const auto wrapped = wrap ? wrap(world) : nullptr;
    comm::Communicator& used = wrapped ? *wrapped : world;
    const auto trainer = make_trainer(job.options, job.parts(used));
    for (int n = 1; n <= steps; ++n) {
      const auto result = trainer->step(n);
      if (world.rank() == 0) out.steps.push_back(result);
    }
    collected.add(*trainer);
  });
  out.state = collected.values();
  return out;
}

void expect_same(const Outcome& a, const Outcome& b) {
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    EXPECT_EQ(a.steps[i].loss, b.steps[i].loss) << "step " << i + 1;
    EXPECT_EQ(a.steps[i].grad_norm, b.steps[i].grad_norm) << "step " << i + 1;
  }
  EXPECT_EQ(a.state, b.state);
}

TEST(Skipping, WithoutSkippingItIsTheModelItself) {
  for (const bool tied : {false, true}) {
    TinyJob alone(tied);
    const auto want = train(alone, 8);
    for (const auto& [dp, pp] : {std::pair{1, 2}, std::pair{2, 3}}) {
      const auto got = train(SkippingJob(dp, pp, 0, tied), 8);
      for (std::size_t i = 0; i < want.steps.size(); ++i) {
        EXPECT_NEAR(got.steps[i].loss, want.steps[i].loss, 2e-5 * want.steps[i].loss) << pp << tied;
        EXPECT_NEAR(got.steps[i].grad_norm, want.steps[i].grad_norm,
                    2e-4 * want.steps[i].grad_norm);
      }
    }
  }
}

TEST(Skipping, LossFalls) {
  for (const double fraction : {0.25, 0.5}) {
    const auto got = train(SkippingJob(2, 4, fraction), 20);
    EXPECT_LT(got.steps.back().loss, got.steps.front().loss - 0.2) << fraction;
  }
}

TEST(Skipping, ShardedOptimizerStateChangesNoBit) {
  SkippingJob job(2, 3, 0, true);
  const auto want = train(job, 4);
  job.options.parallel.zero = 1;
  const auto got = train(job, 4);
  for (std::size_t i = 0; i < want.steps.size(); ++i) {
    EXPECT_EQ(got.steps[i].loss, want.steps[i].loss) << i;
  }
}

TEST(Skipping, ValidationGoesThroughAllStages) {
  const auto validated = [](TinyJob& job) {
    job.data.validation = {{job.folder / "corpus.h5", 1.0}};
    job.data.validation_rows = 7;
    job.options.micro_batch_size = 2;
    double out = 0;
    const auto ranks = static_cast<int>(job.options.parallel.dp * job.options.parallel.pp);
    test::on_ranks(ranks, [&](comm::Communicator& world) {
      const auto loss = make_trainer(job.options, job.parts(world))->validate();
      if (world.rank() == 0) out = loss.value();
    });
    return out;
  };
  TinyJob alone;
  SkippingJob skips(2, 4, 0.5);
  const double want = validated(alone);
  EXPECT_NEAR(validated(skips), want, 1e-5 * want);
}

/// The stages of a plan on one rank, in f32, for losses only.
class Reference {
 public:
  Reference(const TinyJob& job, const Plan& plan) : plan_(plan) {
    const auto layout = make_layout(job.options.model, plan, {});
    std::vector<model::StageRange> ranges;
    for (const auto& stage : layout.stages) ranges.push_back(stage.range);
    params_ = model::make_params(job.options.model, ranges, {});
    params_->initialise(job.options.model, job.options.seed);
    for (const auto& range : ranges) stages_.emplace_back(job.options.model, range, params_);
    data::LoaderOptions loading;
    loading.micro_batch_size = job.options.micro_batch_size;
    loading.seq_len = job.options.seq_len;
    for (int m = 0; m < plan.micro_batches(); ++m) loading.micro_batches.push_back(m);
    const auto world = comm::make_local();
    auto parts = job.parts(*world);
    loader_ = std::make_unique<data::Loader>(parts.corpora, parts.order, std::move(loading));
    data_ = loader_->wait(1);
  }
  /// Mean loss per token of the micro-batches that visit `stage`.
  double loss(int stage) {
    double sum = 0;
    double tokens = 0;
    for (std::size_t m = 0; m < plan_.paths.size(); ++m) {
      if (position_in(plan_.paths[m], stage) < 0) continue;
      model::StageInput input;
      input.batch = data_[m].batch;
      input.tokens = data_[m].token_ids.elems() / data_[m].batch;
      input.token_ids = data_[m].token_ids;
      input.targets = data_[m].targets;
      for (const Visit& visit : plan_.paths[m]) {
        auto out = stages_[static_cast<std::size_t>(visit.stage)].forward(input, nullptr, stream_);
        sum += out.loss_sum;
        tokens += static_cast<double>(out.loss_tokens);
        input.x = out.y;
      }
    }
    return sum / tokens;
  }
  model::Params& params() { return *params_; }

 private:
  const Plan& plan_;
  core::Stream stream_;
  std::shared_ptr<model::Params> params_;  // shared with the stages
  std::vector<model::Stage> stages_;
  std::unique_ptr<data::Loader> loader_;
  std::vector<data::MicroBatchData> data_;
};

/// What the first step accumulated, divided as it was: exp_avg / (1 − beta1).
std::map<std::string, std::vector<float>> first_gradients(TinyJob& job) {
  job.options.clip_grad_norm = 0;
  job.options.optimizer.beta1 = 0.5;
  std::map<std::string, std::vector<float>> out;
  for (const auto& [name, values] : train(job, 1).state) {
    const auto cut = name.rfind(" exp_avg");
    if (cut == std::string::npos || cut + 8 != name.size()) continue;
    auto& gradient = out[name.substr(0, cut)];
    for (const float x : values) gradient.push_back(2 * x);
  }
  return out;
}

/// Adds `step` · direction to the parameters of `names`.
void move(model::Params& params, const std::map<std::string, std::vector<float>>& direction,
          float step) {
  for (auto& param : params.all) {
    const auto found = direction.find(param.spec.name);
    if (found == direction.end()) continue;
    auto* values = static_cast<float*>(param.value.address());
    for (std::size_t i = 0; i < found->second.size(); ++i) values[i] += step * found->second[i];
  }
}

/// A stage that half of the micro-batches visit has the gradient of their mean loss, not of everybody's:
/// its derivative along a direction against finite differences of that loss.
TEST(Skipping, GradientsAreThoseOfTheMeanOverWhoVisitedTheStage) {
  for (const bool tied : {false, true}) {
    SkippingJob job(2, 4, 0.5, tied);
    const auto gradients = first_gradients(job);
    const Plan plan = plan_for(job.options.parallel, job.options.pipeline, 8);
    const auto layout = make_layout(job.options.model, plan, {});
    Reference reference(job, plan);
    std::mt19937 random(3);
    for (int stage = 0; stage < plan.stages; ++stage) {
      for (const bool along : {true, false}) {  // the gradient itself, then any direction
        std::map<std::string, std::vector<float>> direction;
        double slope = 0;
        double squares = 0;
        for (const auto& param : layout.params) {
          if (param.stages.front() != stage) continue;
          const auto& gradient = gradients.at(param.spec.name);
          auto& one = direction[param.spec.name];
          for (const float g : gradient) {
            one.push_back(along ? g : g * static_cast<float>(random() % 1000) / 500);
            slope += static_cast<double>(g) * one.back();
            squares += static_cast<double>(one.back()) * one.back();
          }
        }
        if (direction.empty()) continue;  // a tied head has only the norm, which counts as its own
        const auto step = static_cast<float>(0.02 / std::sqrt(squares));
        move(reference.params(), direction, step);
        const double above = reference.loss(stage);
        move(reference.params(), direction, -2 * step);
        const double below = reference.loss(stage);
        move(reference.params(), direction, step);
        const double measured = (above - below) / (2 * static_cast<double>(step));
        EXPECT_NEAR(measured, slope, 0.01 * slope) << "stage " << stage << " tied " << tied;
      }
    }
  }
}

TEST(Skipping, PaddedTargetsDoNotCount) {
  Plan plan;
  plan.stages = 3;
  plan.paths = {{{0, 0}, {1, 1}, {2, 0}}, {{0, 0}, {2, 0}}, {{0, 0}, {1, 1}, {2, 0}}};
  StepNumbers numbers;
  numbers.loss_tokens = {10, 7, 0};  // the last one is padding alone
  numbers.loss_sums = {20, 14, 0};
  EXPECT_EQ(numbers.tokens_of_stages(plan), (std::vector<double>{17, 10, 17}));
  EXPECT_EQ(numbers.loss(), 2);
}

/// Keeps one message back until another one has been sent.
class Withholding final : public test::Forwarding {
 public:
  Withholding(comm::Communicator& inner, int kept_back, int until_sent)
      : Forwarding(inner), kept_back_(kept_back), until_sent_(until_sent) {}
  comm::Ticket send(const core::Tensor& t, int to, int tag) override {
    if (tag == until_sent_) open_ = true;
    return Forwarding::send(t, to, tag);
  }
  comm::Ticket receive(core::Tensor& t, int from, int tag) override {
    auto ticket = Forwarding::receive(t, from, tag);
    if (tag != kept_back_) return ticket;
    open_ = false;
    return comm::Ticket(std::make_shared<Late>(std::move(ticket), open_));
  }

 private:
  class Late final : public comm::Ticket::State {
   public:
    Late(comm::Ticket ticket, const bool& open) : ticket_(std::move(ticket)), open_(open) {}
    bool done() override { return open_ && ticket_.done(); }
    void wait() override {
      if (!open_) throw core::Error(core::ErrorKind::kHang, "waited for what would never come");
      ticket_.wait();
    }

   private:
    comm::Ticket ticket_;
    const bool& open_;
  };
  int kept_back_, until_sent_;
  bool open_ = false;
};

Wrap withholding_on(int rank, int kept_back, int until_sent) {
  return [=](comm::Communicator& world) -> std::unique_ptr<comm::Communicator> {
    if (world.rank() != rank) return nullptr;
    return std::make_unique<Withholding>(world, kept_back, until_sent);
  };
}

TEST(Patience, ALateMicroBatchHoldsNobodyUpAndChangesNoBit) {
  SkippingJob job(1, 2, 0);
  const Plan plan = plan_for(job.options.parallel, job.options.pipeline, 8);
  const auto want = train(job, 3);
  // Micro-batch 0 comes back to its source for its loss only once micro-batch 2 has been started; and
  // its gradient reaches stage 1 only once that of micro-batch 1 went on from there.
  for (const auto& [rank, late, until] :
       {std::tuple{0, message_tag(0, 1, plan.stages, false), message_tag(2, 0, plan.stages, false)},
        std::tuple{1, message_tag(0, 2, plan.stages, true),
                   message_tag(1, 1, plan.stages, true)}}) {
    job.options.pipeline.patience_ms = 0;
    expect_same(train(job, 3, withholding_on(rank, late, until)), want);
    job.options.pipeline.patience_ms = 1;
    expect_same(train(job, 3, withholding_on(rank, late, until)), want);
  }
}

TEST(Patience, WhateverIsLateTheBitsAreThoseOfThePlannedOrder) {
  for (const auto& [dp, pp, fraction, tied] :
       {std::tuple{2, 3, 0.0, true}, std::tuple{2, 4, 0.25, false}, std::tuple{1, 4, 0.5, true}}) {
    SkippingJob job(dp, pp, fraction, tied);
    if (tied) job.options.recompute = {model::Recompute::kFull};
    const auto want = train(job, 3);
    job.options.pipeline.patience_ms = 0;
    for (const int seed : {1, 2}) {
      const auto delays = [&](comm::Communicator& world) {
        std::mt19937 random(static_cast<unsigned>(seed * 100 + world.rank()));
        std::vector<comm::Fault> faults;
        for (int i = 0; i < 20; ++i) {
          comm::Fault fault;
          fault.call = comm::Fault::Call::kSend;
          fault.action = comm::Fault::Action::kDelay;
          fault.first = static_cast<std::int64_t>(random() % 60);
          fault.count = 1;
          fault.seconds = 0.002;
          faults.push_back(fault);
        }
        return comm::make_faulty(world.duplicate(), faults);
      };
      expect_same(train(job, 3, delays), want);
    }
  }
}

TEST(Patience, ClassicPlansTooKeepTheirBits) {
  for (const char* schedule : {"gpipe", "1f1b", "interleaved", "zero_bubble"}) {
    TinyJob job(true);
    job.options.parallel = {.dp = 2, .pp = 2};
    job.options.pipeline.schedule = schedule;
    const auto want = train(job, 3);
    job.options.pipeline.patience_ms = 0;
    expect_same(train(job, 3), want);
  }
}

}  // namespace
}  // namespace rw::pipeline
