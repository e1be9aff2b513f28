// Part of Ropewalk, MIT licence.
// Sums leave while later backward work goes on, not at its end; of a table only the rows that were looked up.
#include "pipeline/reducer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "pipeline/planners.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

using core::Tensor;

/// One replica of a tiny job, with gradients 1 + rank everywhere.
struct Replica {
  Replica(const test::TinyJob& job, comm::Communicator& of_ranks, bool sharded = false)
      : world(of_ranks),
        plan(plan_for(job.options.parallel, job.options.pipeline, 4 * of_ranks.size())),
        layout(make_layout(job.options.model, plan, {})),
        params(model::make_params(job.options.model, {layout.stages.at(0).range})),
        stage(job.options.model, layout.stages.at(0).range, params),
        pieces(layout, *params, world),
        reducer(
            pieces, plan, world.rank(), *params, {{0, &stage}},
            {.bucket_bytes = 1 << 20, .sharded = sharded, .step_tokens = 8 * plan.micro_batches()},
            stream) {
    for (const Piece& piece : pieces.all()) {
      Tensor grads = piece.grads;
      const std::vector<float> mine(static_cast<std::size_t>(grads.elems()),
                                    1.0F + static_cast<float>(world.rank()));
      core::copy_from_host(mine.data(), grads.bytes(), grads);
    }
  }
  /// All micro-batches have contributed; the gradients of the embedding.
  std::vector<float> sum() {
    for (const int bucket : stage.buckets()) {
      for (int n = 0; n < 4; ++n) reducer.bucket_done(0, bucket);
    }
    reducer.finish(0);
    return core::to_floats(params->find("model.embed_tokens.weight")->grad);
  }

  comm::Communicator& world;
  Plan plan;
  Layout layout;
  std::shared_ptr<model::Params> params;
  model::Stage stage;
  core::Stream stream;
  Pieces pieces;
  Reducer reducer;
};

void on_two_replicas(bool tied,
                     const std::function<void(const test::TinyJob&, comm::Communicator&)>& work) {
  test::TinyJob job(tied);
  job.options.parallel = {2, 1};
  test::on_ranks(2, [&](comm::Communicator& world) { work(job, world); });
}

TEST(ReducerTest, ABucketLeavesWithItsLastContribution) {
  on_two_replicas(false, [](const test::TinyJob& job, comm::Communicator& world) {
    Replica one(job, world);
    one.reducer.begin([](int m) { return Tensor::of_ints({1}, std::vector<std::int32_t>{m}); });
    ASSERT_GT(one.stage.buckets().size(), 1U);
    for (const int bucket : one.stage.buckets()) {
      world.barrier().wait();
      const auto seen = world.events();
      for (int n = 1; n < 4; ++n) EXPECT_FALSE(one.reducer.bucket_done(0, bucket));
      EXPECT_EQ(world.events(), seen) << "bucket " << bucket << " left early";
      world.barrier().wait();
      const auto before = world.events();
      EXPECT_TRUE(one.reducer.bucket_done(0, bucket));
      world.wait_event(before, 20);  // both ranks are there, and nothing else is under way
      EXPECT_GT(world.events(), before) << "bucket " << bucket << " did not leave";
      world.barrier().wait();
    }
    one.reducer.finish(0);
    for (const Piece& piece : one.pieces.all()) {
      EXPECT_EQ(core::to_floats(piece.grads).front(), 3.0F);
    }
  });
}

/// Tokens 0, 5 and 63 on the first rank, 5 and 9 on the second; 99 is in no table.
Tensor some_tokens(int rank) {
  return rank == 0 ? Tensor::of_ints({4}, std::vector<std::int32_t>{0, 63, 5, 5})
                   : Tensor::of_ints({4}, std::vector<std::int32_t>{9, 5, 99, 9});
}

TEST(ReducerTest, OfATableOnlyTheRowsTravelThatTokensName) {
  on_two_replicas(false, [](const test::TinyJob& job, comm::Communicator& world) {
    Replica one(job, world);
    for (int step = 0; step < 2; ++step) {
      one.reducer.begin([&](int) { return some_tokens(world.rank()); });
      const auto grads = one.sum();
      for (const std::size_t row : {0, 1, 4, 5, 6, 9, 62, 63}) {
        const bool named = row == 0 || row == 5 || row == 9 || row == 63;
        const float own = 1.0F + static_cast<float>(world.rank());
        const float once = named ? 3.0F : own;  // a gradient there would be lost: there is none
        const float twice = named ? 6.0F : own;
        for (const std::size_t at : {row * 16, row * 16 + 15}) {
          EXPECT_EQ(grads[at], step == 0 ? once : twice) << row;
        }
      }
    }
  });
}

/// A border between owners lies inside row 21 of 64, which travels.
TEST(ReducerTest, AShardedTableIsSummedByTheOwnersOfItsParts) {
  test::TinyJob job;
  job.options.parallel = {3, 1};
  job.options.model.hidden_size = 24;
  job.options.model.head_dim = 6;
  test::on_ranks(3, [&](comm::Communicator& world) {
    Replica one(job, world, true);
    const Piece& table = one.pieces.all().front();
    ASSERT_EQ(table.row_elems, 24);
    ASSERT_EQ(table.owned(0).second, 21 * 24 + 8);
    one.reducer.begin([&](int m) {
      const std::vector<std::int32_t> all{0, 21, 63};
      const auto token = all[static_cast<std::size_t>((m + world.rank()) % 3)];
      return Tensor::of_ints({1}, std::vector<std::int32_t>{token});
    });
    const auto grads = one.sum();
    const auto [begin, end] = table.owned(world.rank());
    for (const std::int64_t row : {0, 21, 63}) {
      for (std::int64_t at = row * 24; at < row * 24 + 24; ++at) {
        const float own = 1.0F + static_cast<float>(world.rank());
        const float want = at >= begin && at < end ? 6.0F : own;
        EXPECT_EQ(grads[static_cast<std::size_t>(at)], want) << at;
      }
    }
  });
}

TEST(ReducerTest, ATiedTableTravelsWhole) {
  on_two_replicas(true, [](const test::TinyJob& job, comm::Communicator& world) {
    Replica one(job, world);
    one.reducer.begin([](int) -> Tensor { throw std::logic_error("nobody asks for tokens"); });
    const auto grads = one.sum();
    EXPECT_EQ(grads, std::vector<float>(grads.size(), 3.0F));
  });
}

}  // namespace
}  // namespace rw::pipeline
