// Part of Ropewalk, MIT licence.
#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include "kernels/threads.h"
#include "support/numbers.h"

namespace rw::kernels {
namespace {

using test::Numbers;

TEST(EmbeddingTest, CopiesRows) {
  Stream stream;
  const Tensor table = Tensor::of({3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor out = test::nans({4, 2});
  embedding_forward(test::ints({2, 0, 2, 1}), table, out, stream);
  EXPECT_EQ(core::to_floats(out), (std::vector<float>{5, 6, 1, 2, 5, 6, 3, 4}));
}

TEST(EmbeddingTest, RowsGoBackToTheirPlaces) {
  Stream stream;
  Tensor table = Tensor::of({3, 2}, {1, 2, 3, 4, 5, 6});
  scatter_rows(test::ints({2, 0}), Tensor::of({2, 2}, {7, 8, 9, 10}), table, stream);
  EXPECT_EQ(core::to_floats(table), (std::vector<float>{9, 10, 3, 4, 7, 8}));
}

TEST(EmbeddingTest, BackwardAddsRepeatedRowsToWhatIsThere) {
  Stream stream;
  Tensor dtable = Tensor::of({3, 2}, {10, 20, 30, 40, 50, 60});
  embedding_backward(test::ints({2, 0, 2}), Tensor::of({3, 2}, {1, 2, 3, 4, 5, 6}), dtable, stream);
  EXPECT_EQ(core::to_floats(dtable), (std::vector<float>{13, 24, 30, 40, 56, 68}));
}

TEST(EmbeddingTest, BackwardIsTheFiniteDifference) {
  Stream stream;
  const std::vector<std::int32_t> tokens{4, 1, 1, 0, 4};
  const Tensor table = test::random({5, 3}, 1);
  const Tensor dout = test::random({5, 3}, 2);
  Tensor dtable = Tensor::zeros({5, 3});
  embedding_backward(test::ints(tokens), dout, dtable, stream);
  const Numbers weights = test::numbers(dout);
  const auto loss = [&](const Numbers& x) {
    double sum = 0;
    for (std::size_t n = 0; n < tokens.size(); ++n) {
      for (std::size_t i = 0; i < 3; ++i) {
        sum += x[static_cast<std::size_t>(tokens[n]) * 3 + i] * weights[n * 3 + i];
      }
    }
    return sum;
  };
  EXPECT_LT(test::relative_error(dtable, test::numeric_gradient(loss, test::numbers(table))), 1e-6);
}

TEST(EmbeddingTest, SameBitsForAnyNumberOfThreads) {
  Stream stream;
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 500; ++i) tokens.push_back(i * 7 % 11);
  const Tensor dout = test::random({500, 100}, 2);
  const int before = threads();
  std::vector<std::vector<float>> results;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    Tensor dtable = Tensor::zeros({11, 100});
    embedding_backward(test::ints(tokens), dout, dtable, stream);
    results.push_back(core::to_floats(dtable));
  }
  set_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(EmbeddingTest, NamesTheFirstTokenOutside) {
  Stream stream;
  Tensor table = Tensor::zeros({3, 2});
  Tensor out = Tensor::zeros({3, 2});
  EXPECT_EQ(test::message_of([&] {
              embedding_forward(test::ints({0, 3, -1}), table, out, stream);
            }),
            "embedding_forward: got token 3 at 1; want 0 to 2, the rows of the table");
  EXPECT_EQ(test::message_of([&] {
              embedding_backward(test::ints({0, -1, 5}), out, table, stream);
            }),
            "embedding_backward: got token -1 at 1; want 0 to 2, the rows of the table");
  EXPECT_EQ(test::message_of([&] { embedding_forward(test::ints({0}), table, out, stream); }),
            "embedding_forward: got out f32 [3, 2]; want f32 [1, 2]");
}

}  // namespace
}  // namespace rw::kernels
