// Part of Ropewalk, MIT licence.
#include "metrics/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace rw::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

StepTimeline example() {
  StepTimeline out;
  out.step = 7;
  out.ranks.resize(2);
  out.ranks[0].elapsed_s = 0.010;
  out.ranks[0].operations = {{"forward", 0, 0, 0, 0.002, 0, 0.003},
                             {"backward", 0, 0, 0.004, 0.008, 0.005, 0.009}};
  out.ranks[0].waits = {{0.003, 0.0045, 1, "gradient", 0, 0}, {0.0045, 0.005, -1, "reduce", -1, 0}};
  out.ranks[1].elapsed_s = 0.009;
  out.ranks[1].operations = {{"forward", 0, 1, -1, -1, 0.003, 0.005}};
  out.ranks[1].waits = {{0, 0.003, 0, "activation", 0, 1}};
  return out;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t out = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++out;
  }
  return out;
}

TEST(Report, TimelinesGoThereAndBack) {
  const StepTimeline one = example();
  const auto json = to_json(one);
  EXPECT_EQ(to_json(step_timeline_from(core::JsonField(json, "t"))), json);
  EXPECT_EQ(step_timeline_from(core::JsonField(json, "t")).ranks[0].waits[0].what, "gradient");
}

TEST(Report, IdleHasItsCausesLongestFirst) {
  const IdleCauses causes = idle_causes(example().ranks[0]);
  EXPECT_NEAR(causes.busy_s, 0.007, 1e-12);
  ASSERT_EQ(causes.causes.size(), 2U);
  EXPECT_EQ(causes.causes[0].rank, 1);
  EXPECT_EQ(causes.causes[0].what, "gradient");
  EXPECT_NEAR(causes.causes[0].seconds, 0.0015, 1e-12);
  EXPECT_EQ(causes.causes[1].what, "reduce");
  EXPECT_NEAR(causes.other_s, 0.001, 1e-12);
}

TEST(Report, TimelineDrawsPlannedAboveMeasured) {
  const std::string svg = timeline_svg(example());
  EXPECT_EQ(count(svg, "<title>planned, "), 2U);  // what was not predicted is not drawn
  EXPECT_EQ(count(svg, "<title>measured, "), 3U);
  EXPECT_EQ(count(svg, "<title>waits for "), 3U);
  EXPECT_THAT(svg, HasSubstr("waits for rank 1: gradient of micro-batch 0"));
}

TEST(Report, PageNeedsNothingElseAndTextIsText) {
  ReportInputs inputs;
  inputs.title = "a <run> & more";
  inputs.recipe = "model: {name: \"llama\"}";
  for (int i = 1; i <= 30; ++i) {
    ReportStep step;
    step.step = i;
    step.loss = 5.0 / i;
    step.step_ms = 10;
    inputs.steps.push_back(step);
  }
  inputs.steps[20].loss.reset();
  inputs.steps[29].validation_loss = 0.5;
  inputs.timelines = {example()};
  const std::string page = report_html(inputs);
  EXPECT_THAT(page, HasSubstr("<h1>a &lt;run&gt; &amp; more</h1>"));
  EXPECT_THAT(page, HasSubstr("ended after 9 ms, planned 8 ms (+12.5 %)"));
  EXPECT_THAT(page, HasSubstr("1.5 ms for a gradient of rank 1"));
  EXPECT_THAT(page, HasSubstr("3 ms for an activation of rank 0"));
  EXPECT_EQ(count(page, "<svg"), 2U);
  EXPECT_EQ(count(page, "<svg"), count(page, "</svg>"));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

TEST(Report, EachOfSeveralPlansHasItsTimes) {
  ReportInputs inputs;
  inputs.timelines = {example()};
  EXPECT_THAT(report_html(inputs), Not(HasSubstr("planned before training")));
  inputs.timelines.push_back(example());
  inputs.timelines.back().step = 8;
  inputs.timelines.back().plan = "planned anew, from step 8 on";
  inputs.timelines.back().ranks[0].operations[1].end_s = 0.007;
  const std::string page = report_html(inputs);
  EXPECT_THAT(page, HasSubstr("planned before training</td><td>1</td><td>8 ms</td><td>9 ms"));
  EXPECT_THAT(page, HasSubstr("from step 8 on</td><td>1</td><td>8 ms</td><td>7 ms"));
  EXPECT_THAT(page, HasSubstr("Step 8, planned anew, from step 8 on."));
}

TEST(Report, AReduceIsOfNoMicroBatch) {
  StepTimeline one = example();
  one.ranks[0].operations.push_back({"reduce", -1, 0, -1, -1, 0.009, 0.010});
  const std::string svg = timeline_svg(one);
  EXPECT_THAT(svg, HasSubstr("measured, reduce, stage 0"));
  EXPECT_THAT(svg, HasSubstr("waits for its replicas: reduce, "));
  EXPECT_THAT(svg, HasSubstr("measured, forward of micro-batch 0, stage 0"));
  EXPECT_THAT(svg, Not(HasSubstr("micro-batch -1")));
}

TEST(Report, EmptyRunsSaySo) {
  const std::string page = report_html({});
  EXPECT_THAT(page, HasSubstr("No steps yet."));
  EXPECT_THAT(page, HasSubstr("No finite loss yet."));
  EXPECT_THAT(page, HasSubstr("No step was recorded"));
}

TEST(Report, TornLinesAreLeftOutAndTheLaterOneOfAStepHolds) {
  std::string folder = (std::filesystem::temp_directory_path() / "ropewalk-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  StepTimeline first = example();
  StepTimeline again = example();
  again.ranks[0].elapsed_s = 1;
  std::ofstream(folder + "/timeline.jsonl") << to_json(first).dump() << '\n'
                                            << to_json(again).dump() << '\n'
                                            << R"({"step": 8, "ran)";
  const auto read = read_timelines(folder + "/timeline.jsonl");
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].ranks[0].elapsed_s, 1);
  std::ofstream(folder + "/metrics.jsonl")
      << "{\"step\": 1, \"loss\": null, \"step_ms\": 3}\n{\"step\": 2, \"loss\": 4.5}\n{\"step\"";
  const auto steps = read_report_steps(folder + "/metrics.jsonl");
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_FALSE(steps[0].loss);
  EXPECT_EQ(steps[1].loss, 4.5);
  EXPECT_TRUE(read_timelines(folder + "/none").empty());
  std::filesystem::remove_all(folder);
}

TEST(Report, LinesThatAreWrongHaveAPlace) {
  std::string folder = (std::filesystem::temp_directory_path() / "ropewalk-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/lines.jsonl";
  const auto message = [&](const std::string& text, const auto& read) -> std::string {
    std::ofstream(path) << text;
    try {
      read(path);
    } catch (const core::Error& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kDataMalformed);
      return error.what();
    }
    return "taken";
  };
  const std::string deep(100000, '[');
  const auto steps = [&](const std::string& text) { return message(text, read_report_steps); };
  EXPECT_EQ(steps("{\"step\": 1}\n\n{\"step\": 2, \"lo"), "taken");
  EXPECT_THAT(steps("{\"step\": 1}\n{\"step\": 2, \"lo\n"), HasSubstr("lines.jsonl:2:"));
  EXPECT_THAT(steps("{\"step\": 1, \"loss\": \"x\"}"),
              HasSubstr(":1: loss: got \"x\", want a number"));
  EXPECT_THAT(steps("{\"step\": 1e300}"), HasSubstr(":1: step: got 1e+300"));
  EXPECT_THAT(steps("[1]\n"), HasSubstr(":1: got [1], want an object"));
  EXPECT_THAT(steps("{}\n"), HasSubstr("no `step`"));
  EXPECT_THAT(steps(deep), HasSubstr("nested more than 128 deep"));
  EXPECT_THAT(steps("{\"step\": 1}\n{\"a\": " + deep), HasSubstr("lines.jsonl:2:134: got lists"));
  const auto timelines = [&](const std::string& text) { return message(text, read_timelines); };
  EXPECT_THAT(timelines("{\"step\": 1, \"ranks\": 3}\n"), HasSubstr(":1: ranks: got 3"));
  EXPECT_THAT(
      timelines("{\"step\": 1, \"ranks\": [{\"elapsed_s\": 1, \"operations\": [[\"F\"]]}]}\n"),
      HasSubstr("ranks[0].operations[0]: got 1 entries, want 7"));
  EXPECT_THAT(timelines(deep + "\n"), HasSubstr("nested more than 128 deep"));
  std::filesystem::remove_all(folder);
}

TEST(Report, TicksAreRoundAndTimesHaveUnits) {
  EXPECT_THAT(round_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(round_ticks(3, 3, 5), ElementsAre(3));
  EXPECT_EQ(time_text(0.0123), "12.3 ms");
  EXPECT_EQ(time_text(0.0000123), "12.3 µs");
  EXPECT_EQ(time_text(2.5), "2.5 s");
}

}  // namespace
}  // namespace rw::metrics
