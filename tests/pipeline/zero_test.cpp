// Part of Ropewalk, MIT licence.
// Optimizer state sharded over replicas, and gradients that travel as bf16.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <ostream>

#include "collected.h"
#include "forwarding.h"
#include "model/params.h"
#include "pipeline/bucket_size.h"
#include "pipeline/trainer.h"
#include "support/sanitized.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using test::Collected;
using test::Outcome;
using test::TinyJob;

constexpr int kSteps = rw::test::sanitized_or(3, 6);

Outcome run(const TinyJob& job) {
  const auto ranks = static_cast<int>(job.options.parallel.dp * job.options.parallel.pp);
  return test::outcome_of(ranks, kSteps, [&](comm::Communicator& world) {
    return make_trainer(job.options, job.parts(world));
  });
}

void expect_same_bits(const Outcome& a, const Outcome& b) {
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    EXPECT_EQ(a.steps[i].loss, b.steps[i].loss) << "step " << i + 1;
    EXPECT_EQ(a.steps[i].grad_norm, b.steps[i].grad_norm) << "step " << i + 1;
  }
  ASSERT_EQ(a.state.size(), b.state.size());
  for (const auto& [name, values] : a.state) {
    const auto& others = b.state.at(name);
    ASSERT_EQ(values.size(), others.size()) << name;
    EXPECT_EQ(std::memcmp(values.data(), others.data(), values.size() * sizeof(float)), 0) << name;
  }
}

struct Layout {
  int dp, pp;
  const char* schedule;
  bool tied;
};

void PrintTo(const Layout& layout, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << "dp " << layout.dp << ", pp " << layout.pp << ", " << layout.schedule
       << (layout.tied ? ", tied" : "");
}

class ShardedLayout : public ::testing::TestWithParam<Layout> {};

TEST_P(ShardedLayout, GivesTheBitsOfAWholeOptimizer) {
  const Layout& layout = GetParam();
  TinyJob job(layout.tied);
  job.options.parallel.dp = layout.dp;
  job.options.parallel.pp = layout.pp;
  job.options.pipeline.schedule = layout.schedule;
  job.options.clip_grad_norm = 0.1;  // clips
  const Outcome whole = run(job);
  job.options.parallel.zero = 1;
  const Outcome sharded = run(job);
  expect_same_bits(sharded, whole);
  job.options.pipeline.bucket_bytes = 100;
  expect_same_bits(run(job), whole);
  EXPECT_LT(whole.steps.back().loss, whole.steps.front().loss);
}

INSTANTIATE_TEST_SUITE_P(Zero, ShardedLayout,
                         ::testing::Values(Layout{1, 1, "1f1b", false}, Layout{1, 2, "1f1b", true},
                                           Layout{2, 1, "1f1b", false}, Layout{4, 1, "1f1b", true},
                                           Layout{2, 2, "zero_bubble", true},
                                           Layout{2, 2, "interleaved", false},
                                           Layout{4, 2, "gpipe", true}, Layout{3, 1, "1f1b", false},
                                           Layout{2, 4, "1f1b", true}),
                         [](const auto& tested) {
                           const Layout& layout = tested.param;
                           return "dp" + std::to_string(layout.dp) + "_pp" +
                                  std::to_string(layout.pp) + "_" + layout.schedule +
                                  (layout.tied ? "_tied" : "");
                         });

/// Gathers of values in the order in which they were begun, and of those the ones waited for.
struct Gathers {
  int begun = 0;
  std::vector<int> waited;
};

class WatchedGroup final : public test::Forwarding {
 public:
  WatchedGroup(std::unique_ptr<comm::Communicator> inner, Gathers& gathers)
      : Forwarding(*inner), inner_(std::move(inner)), gathers_(gathers) {}
  comm::Ticket all_gather_parts(std::span<core::Tensor> parts) override {
    return comm::Ticket(
        std::make_shared<Watched>(Forwarding::all_gather_parts(parts), gathers_.begun++, gathers_));
  }

 private:
  class Watched final : public comm::Ticket::State {
   public:
    Watched(comm::Ticket ticket, int number, Gathers& gathers)
        : ticket_(std::move(ticket)), number_(number), gathers_(gathers) {}
    bool done() override { return ticket_.done(); }
    void wait() override {
      gathers_.waited.push_back(number_);
      ticket_.wait();
    }

   private:
    comm::Ticket ticket_;
    int number_;
    Gathers& gathers_;
  };
  std::unique_ptr<comm::Communicator> inner_;
  Gathers& gathers_;
};

class WatchedWorld final : public test::Forwarding {
 public:
  WatchedWorld(comm::Communicator& inner, Gathers& gathers)
      : Forwarding(inner), gathers_(gathers) {}
  std::unique_ptr<comm::Communicator> subgroup(std::span<const int> members) override {
    auto group = Forwarding::subgroup(members);
    if (group == nullptr) return nullptr;
    return std::make_unique<WatchedGroup>(std::move(group), gathers_);
  }

 private:
  Gathers& gathers_;
};

TEST(Zero, ValuesAreWaitedForWhenTheNextStepReadsThem) {
  TinyJob job(false);
  job.options.parallel = {.dp = 2, .pp = 1, .zero = 1};
  test::on_ranks(2, [&](comm::Communicator& world) {
    Gathers gathers;
    WatchedWorld watched(world, gathers);
    const auto up_to = [](int count) {
      std::vector<int> out(static_cast<std::size_t>(count));
      for (int i = 0; i < count; ++i) out[static_cast<std::size_t>(i)] = i;
      return out;
    };
    auto trainer = make_trainer(job.options, job.parts(watched));
    trainer->step(1);
    const int a_step = gathers.begun;
    EXPECT_EQ(a_step, 18);  // 8 layers of two buckets, embedding, head
    EXPECT_TRUE(gathers.waited.empty());
    trainer->step(2);
    EXPECT_EQ(gathers.begun, 2 * a_step);
    EXPECT_EQ(gathers.waited, up_to(a_step));
    Collected().add(*trainer);  // as a checkpoint does
    EXPECT_EQ(gathers.waited, up_to(2 * a_step));
    trainer->step(3);
    EXPECT_EQ(gathers.waited, up_to(2 * a_step));
    trainer.reset();
    EXPECT_EQ(gathers.waited, up_to(3 * a_step));
  });
}

/// Whose gathers reach the values only when they are waited for.
class LateGroup final : public test::Forwarding {
 public:
  explicit LateGroup(std::unique_ptr<comm::Communicator> inner)
      : Forwarding(*inner), inner_(std::move(inner)) {}
  comm::Ticket all_gather_parts(std::span<core::Tensor> parts) override {
    std::vector<core::Tensor> copies;
    for (const core::Tensor& part : parts) {
      copies.push_back(core::Tensor::of(part.shape(), core::to_floats(part)));
    }
    comm::Ticket ticket = Forwarding::all_gather_parts(copies);
    return comm::Ticket(
        std::make_shared<Late>(std::move(ticket), std::vector(parts.begin(), parts.end()), copies));
  }

 private:
  class Late final : public comm::Ticket::State {
   public:
    Late(comm::Ticket ticket, std::vector<core::Tensor> parts, std::vector<core::Tensor> copies)
        : ticket_(std::move(ticket)), parts_(std::move(parts)), copies_(std::move(copies)) {}
    bool done() override { return false; }
    void wait() override {
      ticket_.wait();
      core::Stream stream;
      for (std::size_t i = 0; i < parts_.size(); ++i) core::copy(copies_[i], parts_[i], stream);
      stream.sync();
    }

   private:
    comm::Ticket ticket_;
    std::vector<core::Tensor> parts_, copies_;
  };
  std::unique_ptr<comm::Communicator> inner_;
};

class LateWorld final : public test::Forwarding {
 public:
  using Forwarding::Forwarding;
  std::unique_ptr<comm::Communicator> subgroup(std::span<const int> members) override {
    auto group = Forwarding::subgroup(members);
    if (group == nullptr) return nullptr;
    return std::make_unique<LateGroup>(std::move(group));
  }
};

/// What reads a value without waiting for it reads an old one.
TEST(Zero, NoValueIsReadBeforeItIsThere) {
  struct Tried {
    int dp, pp;
    const char* schedule;
    bool tied;
    core::DType compute;
    double skip;
  };
  for (const Tried& one : {Tried{2, 1, "1f1b", true, core::DType::kF32, 0},
                           Tried{2, 2, "interleaved", false, core::DType::kBF16, 0},
                           Tried{2, 2, "zero_bubble", true, core::DType::kBF16, 0},
                           Tried{2, 4, "skippipe", true, core::DType::kF32, 0.25}}) {
    TinyJob job(one.tied);
    job.options.parallel = {.dp = one.dp, .pp = one.pp};
    job.options.pipeline.schedule = one.schedule;
    job.options.pipeline.skip_fraction = one.skip;
    job.options.compute = one.compute;
    job.data.validation = {{job.folder / "corpus.h5", 1.0}};
    job.data.validation_rows = 4;
    const auto losses = [&](bool late) {
      std::vector<double> out;
      test::on_ranks(one.dp * one.pp, [&](comm::Communicator& world) {
        LateWorld late_world(world);
        auto parts = job.parts(late ? late_world : world);
        parts.validation = std::make_unique<data::Validation>(job.data, job.options.seq_len,
                                                              job.options.micro_batch_size);
        const auto trainer = make_trainer(job.options, std::move(parts));
        for (int n = 1; n <= 4; ++n) {
          const double loss = trainer->step(n).loss;
          const double validated = n == 3 ? *trainer->validate() : 0;
          if (world.rank() == 0) out.insert(out.end(), {loss, validated});
        }
      });
      return out;
    };
    const auto want = losses(false);
    job.options.parallel.zero = 1;
    EXPECT_EQ(losses(true), want) << one.schedule;
  }
}

TEST(Zero, SharesAreEqualButForARoundingPerBucket) {
  for (const bool tied : {false, true}) {
    TinyJob job(tied);
    job.options.parallel = {.dp = 4, .pp = 1, .zero = 1};
    std::vector<std::int64_t> moments(4, 0);
    test::on_ranks(4, [&](comm::Communicator& world) {
      class Count final : public core::StateVisitor {
       public:
        void tensor(const core::StateTensor& what, core::Tensor& tensor) override {
          if (what.kind == "exp_avg") elems += tensor.elems();
        }
        void number(std::string_view /*key*/, std::uint64_t& /*value*/) override {}
        void text(std::string_view /*key*/, std::string& /*value*/) override {}
        std::int64_t elems = 0;
      };
      const auto trainer = make_trainer(job.options, job.parts(world));
      Count count;
      trainer->visit_state(count);
      moments[static_cast<std::size_t>(world.rank())] = count.elems;
    });
    const auto [least, most] = std::minmax_element(moments.begin(), moments.end());
    EXPECT_LE(*most - *least, 16 * 18);  // 8 layers of two buckets, embedding, head
    EXPECT_GT(*least, 0);
    std::int64_t all = 0;
    for (const auto& spec : model::param_table(job.options.model)) all += spec.shape.elems();
    EXPECT_EQ(moments[0] + moments[1] + moments[2] + moments[3], all);
  }
}

TEST(ReduceDtype, Bf16BitsDependOnNeitherBucketsNorSharding) {
  TinyJob job(true);
  job.options.parallel = {.dp = 2, .pp = 2};
  const Outcome exact = run(job);
  job.options.parallel.reduce_dtype = "bf16";
  const Outcome rounded = run(job);
  job.options.pipeline.bucket_bytes = 256;
  expect_same_bits(run(job), rounded);
  job.options.parallel.zero = 1;
  expect_same_bits(run(job), rounded);
  EXPECT_NE(rounded.steps.back().loss, exact.steps.back().loss);
  for (std::size_t i = 0; i < exact.steps.size(); ++i) {
    EXPECT_NEAR(rounded.steps[i].loss, exact.steps[i].loss, 5e-3 * exact.steps[i].loss);
  }
}

TEST(ReduceDtype, NothingIsRoundedWhereNothingTravels) {
  TinyJob job;
  const Outcome exact = run(job);
  job.options.parallel.reduce_dtype = "bf16";
  expect_same_bits(run(job), exact);
}

TEST(BucketSize, IsWhereLatencyAndTailAreLeast) {
  // 136 MB of gradients, 0.2 ms, 1 Gbit/s: sqrt(136e6 · 2e-4 / 8e-9) = 1.84 MB.
  EXPECT_EQ(best_bucket_bytes(136'000'000, {2e-4, 8e-9}), 28 * 65536);
  EXPECT_EQ(best_bucket_bytes(136'000'000, {0, 8e-9}), 65536);
  EXPECT_EQ(best_bucket_bytes(136'000'000, {1, 8e-9}), 64 << 20);
  EXPECT_EQ(best_bucket_bytes(136'000'000, {1e-3, 0}), 64 << 20);
}

TEST(BucketSize, EveryRankChoosesTheSame) {
  TinyJob job;
  job.options.model.vocab_size = 1024;
  job.options.model.hidden_size = 64;
  job.options.model.head_dim = 16;
  job.options.parallel = {.dp = 2, .pp = 1};
  std::vector<std::int64_t> chosen(3, 0);
  test::on_ranks(3, [&](comm::Communicator& world) {
    // Rank 2 alone holds the second half of the model: nothing of it travels.
    Plan plan;
    plan.stages = 2;
    plan.stages_of_rank = {{0}, {0}, {1}};
    plan.operations.resize(3);
    const auto layout = make_layout(job.options.model, plan, {});
    const bool last = world.rank() == 2;
    const auto params = model::make_params(job.options.model, {layout.stages[last ? 1U : 0U].range},
                                           job.options.device);
    const Pieces pieces(layout, *params, world);
    EXPECT_EQ(pieces.bytes() > 0, !last);
    chosen[static_cast<std::size_t>(world.rank())] =
        choose_bucket_bytes(pieces, world, comm::Wire::kF32);
  });
  EXPECT_GE(chosen[0], 64 << 10);
  EXPECT_EQ(chosen[0] % 65536, 0);
  EXPECT_EQ(chosen[1], chosen[0]);
  EXPECT_EQ(chosen[2], chosen[0]);
}

}  // namespace
}  // namespace rw::pipeline
