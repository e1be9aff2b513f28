// Part of Ropewalk, MIT licence.
#include "data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "data/validation.h"
#include "store/corpus_file_writer.h"

namespace rw::data {
namespace {

using ::testing::HasSubstr;

class LoaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ropewalk-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Token i of the corpus is (first + i) mod 1000.
  std::string write(const std::string& name, std::int64_t tokens, std::int32_t first = 0,
                    const std::string& tokenizer = "{}") {
    const std::string path = (folder_ / name).string();
    store::CorpusWriter writer(path, {1000, 999, "test", tokenizer});
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < tokens; ++i)
      ids.push_back(static_cast<std::int32_t>((first + i) % 1000));
    writer.add(ids, 1, tokens);
    writer.finish();
    return path;
  }

  static std::vector<int> ints(const core::Tensor& tensor) {
    std::vector<int> out;
    for (const float x : core::to_floats(tensor)) out.push_back(static_cast<int>(x));
    return out;
  }

  std::filesystem::path folder_;
};

TEST_F(LoaderTest, SamplesOverlapByOneAndTailsAreDropped) {
  const Corpora corpora({{write("a.h5", 31), 1.0}}, 10);
  EXPECT_EQ(corpora.samples(0), 3);
  const Corpora shorter({{write("b.h5", 30), 1.0}}, 10);
  EXPECT_EQ(shorter.samples(0), 2);
  MicroBatchData data = make_micro_batch(1, 10);
  fill_row(corpora, 0, 2, 0, data);
  EXPECT_EQ(ints(data.token_ids).front(), 20);
  EXPECT_EQ(ints(data.targets).back(), 30);
}

TEST_F(LoaderTest, MicroBatchesAreTheRowsOfTheOrder) {
  auto corpora = std::make_shared<Corpora>(std::vector<Source>{{write("a.h5", 4001), 1.0}}, 8);
  auto order = std::make_shared<Order>(std::vector<std::int64_t>{corpora->samples(0)},
                                       std::vector<double>{1}, "random", 3, 12);
  for (const std::int64_t threads : {1, 3}) {
    Loader loader(corpora, order, {3, 8, {0, 2, 3}, threads, 4});
    for (std::int64_t step = 1; step <= 30; ++step) {
      const auto& got = loader.wait(step);
      ASSERT_EQ(got.size(), 3U);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const std::int64_t m = std::vector<std::int64_t>{0, 2, 3}[i];
        for (std::int64_t row = 0; row < 3; ++row) {
          const auto want = order->at(step, m * 3 + row).sample * 8;
          ASSERT_EQ(ints(got[i].token_ids)[static_cast<std::size_t>(row * 8)], want % 1000);
          ASSERT_EQ(ints(got[i].targets)[static_cast<std::size_t>(row * 8)], (want + 1) % 1000);
        }
      }
      EXPECT_GE(loader.last_wait_ms(), 0);
    }
  }
}

TEST_F(LoaderTest, StepsMayJump) {
  auto corpora = std::make_shared<Corpora>(std::vector<Source>{{write("a.h5", 4001), 1.0}}, 8);
  auto order = std::make_shared<Order>(std::vector<std::int64_t>{corpora->samples(0)},
                                       std::vector<double>{1}, "random", 3, 2);
  Loader loader(corpora, order, {2, 8, {0}, 2, 3});
  for (const std::int64_t step : {1, 2, 100, 101, 5, 6, 7, 8, 9, 10, 1}) {
    const auto want = order->at(step, 0).sample * 8 % 1000;
    EXPECT_EQ(ints(loader.wait(step)[0].token_ids)[0], want) << step;
  }
}

TEST_F(LoaderTest, ARankWithoutDataWaitsForNothing) {
  auto corpora = std::make_shared<Corpora>(std::vector<Source>{{write("a.h5", 100), 1.0}}, 8);
  auto order = std::make_shared<Order>(std::vector<std::int64_t>{corpora->samples(0)},
                                       std::vector<double>{1}, "random", 3, 2);
  Loader loader(corpora, order, {2, 8, {}, 2, 3});
  EXPECT_TRUE(loader.wait(1).empty());
  EXPECT_TRUE(loader.wait(2).empty());
}

TEST_F(LoaderTest, ValidationIsTheFirstRowsOfEachCorpus) {
  Options options;
  options.validation = {{write("a.h5", 51), 1.0}, {write("b.h5", 1001, 500), 1.0}};
  options.validation_rows = 7;
  const Validation validation(options, 10, 4);
  ASSERT_EQ(validation.micro_batches(), 3);  // 5 rows of a, 7 of b
  EXPECT_EQ(validation.micro_batch(0).batch, 4);
  EXPECT_EQ(validation.micro_batch(2).batch, 4);
  EXPECT_EQ(ints(validation.micro_batch(0).token_ids)[10], 10);
  EXPECT_EQ(ints(validation.micro_batch(1).token_ids)[10], 500);  // row 5: the first of b
}

TEST_F(LoaderTest, DigestsFollowContentsAndLength) {
  const auto a = write("a.h5", 100);
  const auto b = write("b.h5", 100, 1);
  EXPECT_EQ(Corpora({{a, 1.0}}, 8).digest(), Corpora({{a, 1.0}}, 8).digest());
  EXPECT_NE(Corpora({{a, 1.0}}, 8).digest(), Corpora({{b, 1.0}}, 8).digest());
  EXPECT_NE(Corpora({{a, 1.0}}, 8).digest(), Corpora({{a, 1.0}}, 9).digest());
  EXPECT_NE(Corpora({{a, 1.0}, {b, 1.0}}, 8).digest(), Corpora({{b, 1.0}, {a, 1.0}}, 8).digest());
}

TEST_F(LoaderTest, RefusalsNameTheFile) {
  const auto refusal = [](const std::vector<Source>& sources, std::int64_t seq_len) -> std::string {
    try {
      const Corpora corpora(sources, seq_len);
    } catch (const core::Error& error) {
      return error.what();
    }
    return "";
  };
  const auto a = write("a.h5", 100);
  EXPECT_THAT(refusal({{a, 1.0}}, 100),
              HasSubstr("a.h5: holds 100 tokens, want at least train.seq_len + 1 = 101"));
  EXPECT_THAT(refusal({{a, 1.0}, {write("other.h5", 100, 0, "{ }"), 1.0}}, 8),
              HasSubstr("other.h5: made with tokenizer"));
  EXPECT_THAT(refusal({{(folder_ / "none.h5").string(), 1.0}}, 8), HasSubstr("none.h5"));
}

}  // namespace
}  // namespace rw::data
