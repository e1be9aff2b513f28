// Part of Ropewalk, MIT licence.
#include "core/op_times.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/error.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/twins.h"
#include "kernels/matmul/matmul.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {
namespace {

using core::Op;

class OpTimesTest : public ::testing::Test {
 protected:
  OpTimesTest() { core::count_ops(&times_); }
  OpTimesTest(const OpTimesTest&) = delete;
  OpTimesTest& operator=(const OpTimesTest&) = delete;
  ~OpTimesTest() override { core::count_ops(nullptr); }

  const core::OpTime& of(Op op) const { return times_.of[static_cast<std::size_t>(op)]; }
  void add_some(std::int64_t elems) {
    const Tensor a = Tensor::zeros({elems});
    Tensor out = Tensor::like(a);
    add(a, a, out, stream_);
  }

  core::OpTimes times_;
  Stream stream_;
};

TEST_F(OpTimesTest, CountsCallsTimeAndTheBytesOfTheArguments) {
  add_some(1000);
  add_some(3);
  EXPECT_EQ(of(Op::kElementwise).calls, 2);
  EXPECT_EQ(of(Op::kElementwise).bytes, 3 * 4 * 1003);
  EXPECT_GT(of(Op::kElementwise).ns, 0);
  EXPECT_EQ(of(Op::kMatmul).calls, 0);
  EXPECT_EQ(of(Op::kMatmul).ns, 0);
}

TEST_F(OpTimesTest, EachKindHasItsOwnLine) {
  const Tensor a = Tensor::zeros({4, 5});
  const Tensor b = Tensor::zeros({5, 6});
  Tensor c = Tensor::zeros({4, 6});
  matmul(a, b, c, {}, stream_);
  EXPECT_EQ(of(Op::kMatmul).calls, 1);
  EXPECT_EQ(of(Op::kMatmul).bytes, 4 * (20 + 30 + 24));
  EXPECT_EQ(of(Op::kElementwise).calls, 0);
}

TEST_F(OpTimesTest, AnOperationInsideAnotherCountsAsTheOuter) {
  {
    const auto outer = core::twins<SwigluTwins>(stream_.device());
    add_some(8);
    EXPECT_EQ(of(Op::kElementwise).calls, 0);
  }
  EXPECT_EQ(of(Op::kSwiglu).calls, 1);
  EXPECT_EQ(of(Op::kElementwise).calls, 0);
  add_some(8);
  EXPECT_EQ(of(Op::kElementwise).calls, 1);
}

TEST_F(OpTimesTest, NothingIsCountedAfterTheEndOrFromAnotherThread) {
  std::thread([this] { add_some(8); }).join();
  core::count_ops(nullptr);
  add_some(8);
  EXPECT_EQ(of(Op::kElementwise).calls, 0);
  EXPECT_EQ(of(Op::kElementwise).ns, 0);
}

TEST_F(OpTimesTest, ACallThatThrowsIsOverToo) {
  EXPECT_THROW(
      {
        const auto call = core::twins<ElementwiseTwins>(stream_.device());
        throw core::Error(core::ErrorKind::kBug, "on cue");
      },
      core::Error);
  EXPECT_EQ(times_.depth, 0);
  EXPECT_EQ(of(Op::kElementwise).calls, 1);
}

}  // namespace
}  // namespace rw::kernels
