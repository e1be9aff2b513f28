// Part of Ropewalk, MIT licence.
// The tiles that run where the CPU has no FMA, whatever this one has.
#include "kernels/attention/tile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/numbers.h"

namespace rw::kernels {
namespace {

TEST(AttentionTileTest, EqualsTheFront) {
  const HeadLayout layout{1, 700, 1, 1, 16};
  const std::int64_t tokens = layout.tokens;
  const std::int64_t width = layout.head_dim;
  Stream stream;
  const Tensor qkv = test::random({tokens, layout.width()}, 1);
  const Tensor dout = test::random({tokens, width}, 2);
  Tensor out = test::nans({tokens, width});
  Tensor lse = test::nans({1, 1, tokens});
  Tensor dqkv = test::nans(qkv.shape());
  attention_forward(qkv, out, lse, layout, stream);
  attention_backward(qkv, out, lse, dout, dqkv, layout, stream);

  Tensor tile_out = test::nans({tokens, width});
  Tensor tile_lse = test::nans({1, 1, tokens});
  Tensor tile_dqkv = Tensor::zeros(qkv.shape());
  std::vector<float> scratch(static_cast<std::size_t>(backward_scratch_elems<float>(width)));
  const auto* rows = qkv.data<float>();
  auto* gradient = tile_dqkv.data<float>();
  const std::int64_t stride = layout.width();
  ForwardHead<float> forward;
  forward.q = {rows, stride};
  forward.k = {rows + width, stride};
  forward.v = {rows + 2 * width, stride};
  forward.out = {tile_out.data<float>(), width};
  forward.lse = tile_lse.data<float>();
  forward.head_dim = width;
  BackwardHead<float> backward;
  backward.q = forward.q;
  backward.k = forward.k;
  backward.v = forward.v;
  backward.out = {tile_out.data<float>(), width};
  backward.dout = {dout.data<float>(), width};
  backward.dq = {gradient, stride};
  backward.dk = {gradient + width, stride};
  backward.dv = {gradient + 2 * width, stride};
  backward.lse = forward.lse;
  backward.head_dim = width;
  for (std::int64_t begin = 0; begin < tokens; begin += kQueryTile) {
    const std::int64_t end = std::min(tokens, begin + kQueryTile);
    attention_forward_tile(forward, begin, end, scratch.data());
    attention_backward_tile(backward, begin, end, scratch.data());
  }
  EXPECT_LT(test::relative_error(tile_out, test::numbers(out)), 2e-6);
  EXPECT_LT(test::relative_error(tile_lse, test::numbers(lse)), 2e-6);
  EXPECT_LT(test::relative_error(tile_dqkv, test::numbers(dqkv)), 5e-6);
}

}  // namespace
}  // namespace rw::kernels
