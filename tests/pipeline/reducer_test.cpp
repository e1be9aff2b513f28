// Part of Ropewalk, MIT licence.
// Sums leave while later backward work goes on, not at its end.
#include "pipeline/reducer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "pipeline/planners.h"
#include "tiny_job.h"

namespace rw::pipeline {
namespace {

TEST(ReducerTest, ABucketLeavesWithItsLastContribution) {
  test::TinyJob job;
  job.options.parallel = {2, 1};
  const auto plan = plan_for(job.options.parallel, job.options.pipeline, 8);
  test::on_ranks(2, [&](comm::Communicator& world) {
    const Layout layout = make_layout(job.options.model, plan, {});
    const model::StageRange range = layout.stages.at(0).range;
    const auto params = model::make_params(job.options.model, {range});
    model::Stage stage(job.options.model, range, params);
    const Pieces pieces(layout, *params, world);
    Reducer reducer(pieces, plan, world.rank(), *params, {{0, &stage}}, {.bucket_bytes = 1 << 20});
    for (const Piece& piece : pieces.all()) {
      core::Tensor grads = piece.grads;
      const std::vector<float> mine(static_cast<std::size_t>(grads.elems()),
                                    1.0F + static_cast<float>(world.rank()));
      core::copy_from_host(mine.data(), grads.bytes(), grads);
    }
    reducer.begin();
    ASSERT_GT(stage.buckets().size(), 1U);
    for (const int bucket : stage.buckets()) {
      world.barrier().wait();
      const auto seen = world.events();
      for (int n = 1; n < 4; ++n) reducer.bucket_done(0, bucket);
      EXPECT_EQ(world.events(), seen) << "bucket " << bucket << " left early";
      world.barrier().wait();
      const auto before = world.events();
      reducer.bucket_done(0, bucket);
      world.wait_event(before, 20);  // both ranks are there, and nothing else is under way
      EXPECT_GT(world.events(), before) << "bucket " << bucket << " did not leave";
      world.barrier().wait();
    }
    reducer.finish(0);
    for (const Piece& piece : pieces.all()) EXPECT_EQ(core::to_floats(piece.grads).front(), 3.0F);
  });
}

}  // namespace
}  // namespace rw::pipeline
