// Part of Ropewalk, MIT licence.
#include "metrics/sinks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "metrics/tensorboard.h"
#include "metrics/terminal.h"
#include "metrics/trace.h"

namespace rw::metrics {
namespace {

using core::Json;
using ::testing::HasSubstr;
using ::testing::Not;

class MetricsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ropewalk-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  static StepRecord record(std::int64_t step) {
    StepRecord out;
    out.step = step;
    out.loss = 3.0 + 1.0 / static_cast<double>(step);
    out.grad_norm = 0.5;
    out.tokens = 100;
    out.tokens_per_s = 42123;
    out.step_ms = 10;
    return out;
  }
  std::filesystem::path folder_;
};

TEST_F(MetricsTest, LinesHaveEveryField) {
  const Json line = Json::parse(json_line(record(7)));
  for (const char* key :
       {"step", "loss", "grad_norm", "lr", "tokens", "tokens_per_s", "step_ms", "mfu",
        "flops_formula", "bubble_pct", "bubble_pct_planned", "comm_exposed_ms", "data_wait_ms",
        "ckpt_blocked_ms", "mem_peak_bytes", "mem_model_peak_bytes"}) {
    EXPECT_TRUE(line.contains(key)) << key;
  }
  EXPECT_FALSE(line.contains("validation_loss"));
  EXPECT_EQ(line["step"], 7);
}

TEST_F(MetricsTest, LossReadsBackToTheSameFloat) {
  StepRecord one = record(1);
  for (const float loss : {3.14159274F, 1e-7F, 12345.6787F, 0.1F}) {
    one.loss = static_cast<double>(loss);
    EXPECT_EQ(static_cast<float>(Json::parse(json_line(one))["loss"].get<double>()), loss);
  }
  one.loss = std::numeric_limits<double>::quiet_NaN();
  one.grad_norm = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(Json::parse(json_line(one))["loss"].is_null());
  EXPECT_TRUE(Json::parse(json_line(one))["grad_norm"].is_null());
}

TEST_F(MetricsTest, ResumingCutsLaterAndTornLines) {
  const std::string file = path("metrics.jsonl");
  {
    const auto sink = make_jsonl(file, -1);
    for (int step = 1; step <= 9; ++step) sink->write(record(step));
  }
  std::ofstream(file, std::ios::app) << R"({"step": 10, "lo)";
  {
    const auto sink = make_jsonl(file, 6);
    sink->write(record(7));
  }
  std::istringstream lines(text(file));
  std::vector<int> steps;
  for (std::string line; std::getline(lines, line);)
    steps.push_back(Json::parse(line)["step"].get<int>());
  EXPECT_EQ(steps, (std::vector<int>{1, 2, 3, 4, 5, 6, 7}));
  make_jsonl(file, -1);
  EXPECT_EQ(text(file), "");
}

TEST_F(MetricsTest, AnUnwritableFileIsNamed) {
  std::ofstream(path("file")) << "in the way";
  EXPECT_THROW(make_jsonl(path("file/metrics.jsonl"), -1), core::Error);
}

TEST_F(MetricsTest, TensorBoardRecordsAreFramedWithMaskedCrcs) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  const std::string framed = tfrecord("abc");
  ASSERT_EQ(framed.size(), 8U + 4U + 3U + 4U);
  EXPECT_EQ(framed.substr(0, 8), std::string("\x03\0\0\0\0\0\0\0", 8));
  const auto crc = [&](std::size_t at) {
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      out |= static_cast<std::uint32_t>(static_cast<unsigned char>(framed[at + i])) << (8 * i);
    }
    return out;
  };
  EXPECT_EQ(crc(8), masked_crc32c(framed.substr(0, 8)));
  EXPECT_EQ(crc(15), masked_crc32c("abc"));
  const auto sink = make_tensorboard(path("tb"), 1);
  sink->write(record(1));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "tb")) {
    EXPECT_THAT(entry.path().filename().string(), HasSubstr("tfevents"));
    EXPECT_THAT(text(entry.path().string()), HasSubstr("brain.Event:2"));
    ++files;
  }
  EXPECT_EQ(files, 1);
}

TEST_F(MetricsTest, StepLinesStayBelow120Columns) {
  StepRecord one = record(99999999);
  one.loss = 12.3456;
  one.grad_norm = 12345.67;
  one.tokens_per_s = 1.5e9;
  one.mfu = 0.413;
  one.validation_loss = 11.25;
  one.bubble_pct = 100;
  const std::string line = step_line(one, 100000000, 864000);
  EXPECT_LT(line.size(), 120U);
  EXPECT_THAT(line, HasSubstr("step 99999999/100000000 loss 12.3456"));
  EXPECT_THAT(line, HasSubstr("eta 10d00h"));
  EXPECT_THAT(line, HasSubstr("val 11.25"));
  EXPECT_THAT(step_line(record(1), 2, 1), Not(HasSubstr("mfu")));
  EXPECT_THAT(step_line(record(1), 2, 1), Not(HasSubstr("\x1b")));
  EXPECT_THAT(step_line(record(1), 2, 1, true), HasSubstr("\x1b["));
}

TEST_F(MetricsTest, ShortNumbers) {
  EXPECT_EQ(short_count(950), "950");
  EXPECT_EQ(short_count(42100), "42.1k");
  EXPECT_EQ(short_count(1.2e6), "1.2M");
  EXPECT_EQ(short_time(45), "45s");
  EXPECT_EQ(short_time(725), "12m");
  EXPECT_THAT(progress_bar(20, 100), HasSubstr("20%"));
  EXPECT_THAT(progress_bar(0, 0), HasSubstr("%"));
}

TEST_F(MetricsTest, TracesAreJsonOnceClosedAndLineByLineBefore) {
  const std::string file = path("rank-0.json");
  Trace trace(3);
  trace.open(file);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&trace, t] {
      for (int i = 0; i < 200; ++i)
        trace.add("forward", "compute", 1000 * i, 1000 * i + 500, i, t, kLaneCompute);
    });
  }
  for (auto& thread : threads) thread.join();
  trace.close();
  trace.add("late", "compute", 0, 1, 0, 0, kLaneCompute);
  EXPECT_EQ(trace.problem(), "");
  const Json all = Json::parse(text(file));
  int forwards = 0;
  for (const auto& event : all) {
    EXPECT_NE(event["name"], "late");
    if (event["name"] != "forward") continue;
    ++forwards;
    EXPECT_EQ(event["pid"], 3);
    EXPECT_EQ(event["dur"], 0.5);
  }
  EXPECT_EQ(forwards, 600);
  Trace second(3);
  second.open(file);
  EXPECT_EQ(second.path(), path("rank-0.1.json"));  // nothing is overwritten
}

TEST_F(MetricsTest, ATraceHasAMostOfEvents) {
  const std::string file = path("rank-1.json");
  Trace trace(0, 5);
  trace.open(file);
  for (int i = 0; i < 50; ++i) trace.add("x", "compute", i, i + 1, -1, -1, kLaneComm);
  trace.close();
  int events = 0;
  for (const auto& event : Json::parse(text(file))) events += event["name"] == "x" ? 1 : 0;
  EXPECT_LE(events, 5);
}

}  // namespace
}  // namespace rw::metrics
