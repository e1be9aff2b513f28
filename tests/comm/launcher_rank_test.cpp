// Part of Ropewalk, MIT licence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "comm/session.h"
#include "tests/support/numbers.h"

namespace rw::comm {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<LauncherRank> under(const Variables& variables) {
  return launcher_rank([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void expect_rank(const std::optional<LauncherRank>& got, const LauncherRank& want) {
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->rank, want.rank);
  EXPECT_EQ(got->size, want.size);
  EXPECT_EQ(got->local_rank, want.local_rank);
  EXPECT_EQ(got->local_size, want.local_size);
}

TEST(LauncherRankTest, NothingSetIsNoLauncher) {
  EXPECT_FALSE(under({}).has_value());
  EXPECT_FALSE(under({{"OMPI_COMM_WORLD_SIZE", "4"}, {"HOME", "/root"}}).has_value());
}

TEST(LauncherRankTest, ReadsOpenMpi) {
  expect_rank(under({{"OMPI_COMM_WORLD_RANK", "5"},
                     {"OMPI_COMM_WORLD_SIZE", "8"},
                     {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}}),
              {5, 8, 1, 4});
}

TEST(LauncherRankTest, ASingleProcessCounts) {
  expect_rank(under({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}), {0, 1, 0, 1});
}

TEST(LauncherRankTest, ReadsPmiWithHydrasLocalNumbers) {
  expect_rank(under({{"PMI_RANK", "3"},
                     {"PMI_SIZE", "4"},
                     {"MPI_LOCALRANKID", "1"},
                     {"MPI_LOCALNRANKS", "2"}}),
              {3, 4, 1, 2});
}

TEST(LauncherRankTest, PmixTakesItsSizeFromSlurm) {
  expect_rank(under({{"PMIX_RANK", "2"},
                     {"SLURM_NTASKS", "6"},
                     {"SLURM_LOCALID", "0"},
                     {"SLURM_TASKS_PER_NODE", "2(x3)"},
                     {"SLURM_NODEID", "1"}}),
              {2, 6, 0, 2});
}

TEST(LauncherRankTest, ReadsSlurmWithUnequalHosts) {
  Variables variables{{"SLURM_PROCID", "6"},
                      {"SLURM_NTASKS", "7"},
                      {"SLURM_LOCALID", "0"},
                      {"SLURM_STEP_TASKS_PER_NODE", "3(x2),1"},
                      {"SLURM_NODEID", "2"}};
  expect_rank(under(variables), {6, 7, 0, 1});
  variables["SLURM_STEP_TASKS_PER_NODE"] = "3(x";
  expect_rank(under(variables), {6, 7, 6, 7});  // unreadable: one host is assumed
}

TEST(LauncherRankTest, ASlurmBatchScriptIsNoLauncher) {
  Variables variables{{"SLURM_JOB_ID", "77"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}};
  EXPECT_FALSE(under(variables).has_value());
  variables["SLURM_STEP_ID"] = "0";
  expect_rank(under(variables), {0, 4, 0, 4});
}

TEST(LauncherRankTest, OpenMpiComesBeforeSlurm) {
  expect_rank(under({{"OMPI_COMM_WORLD_RANK", "1"},
                     {"OMPI_COMM_WORLD_SIZE", "2"},
                     {"SLURM_PROCID", "0"},
                     {"SLURM_NTASKS", "1"}}),
              {1, 2, 1, 2});
}

std::string refusal_of(const Variables& variables) {
  return test::message_of([&] { (void)under(variables); });
}

TEST(LauncherRankTest, RefusesValuesThatAreNoWholeNumbers) {
  for (const char* bad : {"two", "", "-1", "1.5", "1099511627776", "2147483648", " 1", "1 "}) {
    EXPECT_THAT(refusal_of({{"PMI_RANK", bad}, {"PMI_SIZE", "4"}}),
                ::testing::HasSubstr(std::string("got PMI_RANK=") + bad + ", want a whole number"));
    EXPECT_THAT(refusal_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", bad}}),
                ::testing::HasSubstr(std::string("got SLURM_NTASKS=") + bad));
  }
}

TEST(LauncherRankTest, LocalNumbersThatAreNoneAreAbsent) {
  expect_rank(under({{"OMPI_COMM_WORLD_RANK", "1"},
                     {"OMPI_COMM_WORLD_SIZE", "4"},
                     {"OMPI_COMM_WORLD_LOCAL_RANK", "one"},
                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}),
              {1, 4, 1, 4});
}

TEST(LauncherRankTest, ARankWithoutASizeNamesTheVariablesLookedFor) {
  for (const char* name : kRankVariables) {
    const std::string text = refusal_of({{name, "2"}});
    EXPECT_THAT(text, ::testing::HasSubstr(std::string("got ") + name + "=2 and no number of"));
    for (const char* size : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}) {
      EXPECT_THAT(text, ::testing::HasSubstr(size));
    }
  }
}

TEST(LauncherRankTest, RefusesARankOutsideOfTheJob) {
  EXPECT_THAT(refusal_of({{"PMI_RANK", "4"}, {"PMI_SIZE", "4"}}),
              ::testing::HasSubstr("got PMI_RANK=4 with PMI_SIZE=4"));
  EXPECT_THAT(refusal_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "0"}}),
              ::testing::HasSubstr("want a rank below the number of ranks"));
}

}  // namespace
}  // namespace rw::comm
