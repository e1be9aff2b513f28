// Part of Ropewalk, MIT licence.
#include "metrics/side_by_side.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace rw::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Two ranks of ten seconds each: rank 0 computes six of them and rank 1 three; the last backward ends
/// after `end_s` seconds and was planned for `planned_s` (below 0: not at all).
StepTimeline a_step(std::int64_t number, double end_s, double planned_s) {
  StepTimeline out;
  out.step = number;
  out.ranks.resize(2);
  for (RankTimeline& rank : out.ranks) rank.elapsed_s = 10;
  const double begin = planned_s < 0 ? -1 : planned_s - 5;
  out.ranks[0].operations = {{"forward", 0, 0, -1, -1, 0, 1},
                             {"backward", 0, 0, begin, planned_s, end_s - 5, end_s},
                             {"reduce", -1, 0, -1, -1, end_s, 10}};
  out.ranks[1].operations = {{"forward", 0, 1, -1, -1, 2, 5}};
  return out;
}

ReportInputs a_run(const std::string& title, std::vector<StepTimeline> timelines) {
  ReportInputs out;
  out.title = title;
  out.schedule = "skippipe";
  out.plan = PlanFacts{{2, 1, 1}, 1.0 / 3, 4, true};
  out.timelines = std::move(timelines);
  return out;
}

TEST(SideBySide, MediansAreOfPredictedStepsAndEachStepIsHeldAgainstItsOwnPlan) {
  // The first step and the second one, which nobody predicted, count nowhere.
  const PlanTimes times = plan_times(
      {a_step(1, 9, 5), a_step(2, 9.5, -1), a_step(3, 6, 5), a_step(4, 6.6, 6), a_step(5, 9, 6)});
  EXPECT_EQ(times.steps, 3);
  EXPECT_DOUBLE_EQ(times.measured_s, 6.6);
  EXPECT_DOUBLE_EQ(*times.predicted_s, 6);
  EXPECT_NEAR(*times.off, 0.2, 1e-12);  // of 0.2, 0.1 and 0.5; not 6.6 / 6 - 1
  EXPECT_NEAR(times.idle_mean, 0.55, 1e-12);
  EXPECT_NEAR(times.idle_worst, 0.7, 1e-12);
  EXPECT_EQ(times.worst_rank, 1);
}

TEST(SideBySide, WithoutPredictionsAllStepsButTheFirstCount) {
  const PlanTimes times = plan_times({a_step(1, 9, -1), a_step(2, 6, -1), a_step(3, 7, -1)});
  EXPECT_EQ(times.steps, 2);
  EXPECT_DOUBLE_EQ(times.measured_s, 7);  // the upper one of two in the middle
  EXPECT_FALSE(times.predicted_s);
  EXPECT_FALSE(times.off);
  EXPECT_EQ(plan_times({a_step(1, 9, 6)}).steps, 1);
  EXPECT_EQ(plan_times({}).steps, 0);
  EXPECT_EQ(plan_times({StepTimeline{2, {}}}).worst_rank, -1);  // no ranks: no shares either
}

TEST(SideBySide, ARowSaysAllOfARun) {
  const std::string table = side_by_side_table({a_run("one <b> & more", {a_step(2, 6, 5)})});
  EXPECT_THAT(table, HasSubstr("<tr><td class=\"text\"><a href=\"#run-1\">one &lt;b&gt; &amp; more"
                               "</a></td><td class=\"text\">skippipe</td><td>2 1 1</td>"
                               "<td>33.33 %</td><td>4</td><td>5 s</td><td>6 s</td><td>+20.0 %</td>"
                               "<td>55.0 %</td><td>70.0 % (rank 1)</td><td>1</td></tr>\n"));
}

TEST(SideBySide, WhatARunLacksItsRowSays) {
  ReportInputs bare;
  bare.title = "bare";
  ReportInputs unpredicted = a_run("u", {a_step(2, 6, -1)});
  unpredicted.schedule = "<i>";
  ReportInputs paced = a_run("p", {a_step(2, 6, 5)});
  paced.plan->own_times = false;
  const std::string table = side_by_side_table({bare, unpredicted, paced});
  EXPECT_THAT(table, HasSubstr("bare</a></td><td class=\"text\">no plan, no recipe.resolved.yaml"
                               "</td><td class=\"text\" colspan=\"3\">no plan/plan.json</td><td "
                               "class=\"text\" colspan=\"6\">no step was recorded "
                               "(log.timeline_interval)</td></tr>"));
  EXPECT_THAT(table, HasSubstr("nothing was predicted</td><td>6 s</td><td>–</td>"));
  EXPECT_THAT(table, HasSubstr("&lt;i&gt;"));
  EXPECT_THAT(table, Not(HasSubstr("<i>")));
  EXPECT_THAT(table, HasSubstr("<td>5 s, by pace</td>"));
}

TEST(SideBySide, ThePageHasTheTableAndThenEveryRun) {
  const std::string page =
      side_by_side_html({a_run("first", {a_step(2, 6, 5)}), a_run("second", {a_step(2, 7, 5)})});
  const auto table = page.find("<h2>Plans side by side</h2>");
  const auto first = page.find("<h1 id=\"run-1\">first</h1>");
  const auto second = page.find("<h1 id=\"run-2\">second</h1>");
  ASSERT_NE(second, std::string::npos);
  EXPECT_LT(table, first);
  EXPECT_LT(first, second);
  EXPECT_THAT(page, HasSubstr("ended after 7 s, planned 5 s (+40.0 %)"));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  // A run by itself has neither.
  const std::string alone = report_html(a_run("first", {a_step(2, 6, 5)}));
  EXPECT_THAT(alone, HasSubstr("<h1>first</h1>\n"));
  EXPECT_THAT(alone, Not(HasSubstr("side by side")));
}

}  // namespace
}  // namespace rw::metrics
