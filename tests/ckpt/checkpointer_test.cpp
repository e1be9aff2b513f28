// Part of Ropewalk, MIT licence.
#include "ckpt/checkpointer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ckpt/reader.h"
#include "comm/local.h"
#include "comm/threads.h"
#include "core/error.h"
#include "store/faulty.h"
#include "store/memory.h"
#include "toy_method.h"

namespace rw::ckpt {
namespace {

using core::Error;
using core::ErrorKind;
using test::Toy;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kFolder = "/run/checkpoints";

RunIdentity identity() { return {{{"model", "m1"}, {"parallel.pp", "1"}}, "recipe text", 1, 1}; }

struct Job {
  explicit Job(store::Store& store, Options options = {}, RunIdentity who = identity())
      : checkpointer(store, kFolder, options, comm::make_local(), std::move(who)) {}
  void save(std::int64_t step) {
    Toy toy(0, 1, static_cast<float>(step));
    checkpointer.save(step, toy);
  }
  /// The state of the newest checkpoint must be that of the step it names; returns the step, 0: none.
  std::int64_t restore_newest() {
    const auto folder = checkpointer.newest();
    if (!folder) return 0;
    Toy toy(0, 1, -1);
    const auto step = checkpointer.restore(*folder, toy);
    EXPECT_EQ(toy.state(), Toy(0, 1, static_cast<float>(step)).state());
    return step;
  }
  Checkpointer checkpointer;
};

std::vector<std::string> names(store::Store& store) {
  std::vector<std::string> out;
  for (const auto& step : list_steps(store, kFolder)) out.push_back(step.name());
  return out;
}

class CheckpointerTest : public ::testing::Test {
 protected:
  std::unique_ptr<store::Store> memory_ = store::make_memory();
};

TEST_F(CheckpointerTest, SavedStateComesBackToTheBit) {
  Job job(*memory_);
  EXPECT_EQ(job.restore_newest(), 0);
  job.save(3);
  EXPECT_EQ(job.restore_newest(), 3);
  EXPECT_GT(job.checkpointer.last_save_ms(), 0);
  EXPECT_EQ(Job(*memory_).restore_newest(), 3);  // another process
}

TEST_F(CheckpointerTest, RanksSaveWhatTheyOwnAndLoadWhatTheyHold) {
  for (const int ranks : {2, 4, 7}) {
    const auto store = store::make_memory();
    comm::run_threads(ranks, [&](comm::Communicator& world) {
      Checkpointer checkpointer(*store, kFolder, {}, world.duplicate(), identity());
      Toy toy(world.rank(), ranks, 5);
      checkpointer.save(5, toy);
      Toy other(world.rank(), ranks, -1);
      const auto folder = checkpointer.newest();
      ASSERT_TRUE(folder.has_value());
      EXPECT_EQ(checkpointer.restore(*folder, other), 5);
      EXPECT_EQ(other.state(), toy.state());
    });
    EXPECT_EQ(CheckpointReader(*store, "/run").manifest().files_size(), ranks);
  }
}

TEST_F(CheckpointerTest, TensorsOfManyBlocks) {
  Checkpointer checkpointer(*memory_, kFolder, {}, comm::make_local(), identity());
  Toy toy(0, 1, 1, 700'000);  // 2.8 MB each: three blocks, page-aligned
  checkpointer.save(1, toy);
  Toy other(0, 1, 2, 700'000);
  checkpointer.restore(*checkpointer.newest(), other);
  EXPECT_EQ(other.state(), toy.state());
}

TEST_F(CheckpointerTest, RetentionKeepsTheNewestAndTheMultiples) {
  Job job(*memory_, {0, 2, 4});
  for (std::int64_t step = 1; step <= 10; ++step) job.save(step);
  EXPECT_THAT(names(*memory_), ElementsAre("step-000000000004-0", "step-000000000008-0",
                                           "step-000000000009-0", "step-000000000010-0"));
}

TEST_F(CheckpointerTest, TheSameStepAgainIsAnotherAttempt) {
  Job job(*memory_);
  job.save(3);
  job.save(3);
  EXPECT_THAT(names(*memory_), ElementsAre("step-000000000003-0", "step-000000000003-1"));
  EXPECT_EQ(job.restore_newest(), 3);
}

TEST_F(CheckpointerTest, GoingBackSetsLaterCheckpointsAside) {
  Job job(*memory_);
  job.save(10);
  job.save(20);
  Toy toy(0, 1, 0);
  EXPECT_EQ(job.checkpointer.restore(job.checkpointer.find(10), toy), 10);
  EXPECT_THAT(names(*memory_), ElementsAre("step-000000000010-0", "step-000000000020-0"));
  job.checkpointer.go_on_from(job.checkpointer.find(10), 10, toy);
  EXPECT_EQ(Job(*memory_).restore_newest(), 10);
  job.save(15);
  EXPECT_THAT(names(*memory_), ElementsAre("step-000000000010-0", "step-000000000015-0"));
  EXPECT_THAT(memory_->list(std::string(kFolder) + "/quarantine"),
              ElementsAre("step-000000000020-0"));
  EXPECT_EQ(job.restore_newest(), 15);
}

TEST_F(CheckpointerTest, AStepThatIsNotThereListsThoseThatAre) {
  Job job(*memory_);
  job.save(2);
  job.save(4);
  try {
    job.checkpointer.find(3);
    FAIL() << "found a checkpoint that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDataMissing);
    EXPECT_THAT(error.what(), HasSubstr("no checkpoint of step 3; there are: 2, 4"));
  }
}

TEST_F(CheckpointerTest, AnotherRunsCheckpointIsRefusedByTheFirstDifference) {
  Job(*memory_).save(1);
  RunIdentity other = identity();
  other.same["model"] = "m2";
  Job job(*memory_, {}, other);
  Toy toy(0, 1, 7);
  const auto before = toy.state();
  try {
    job.checkpointer.restore(*job.checkpointer.newest(), toy);
    FAIL() << "restored the checkpoint of another model";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRecipe);
    EXPECT_THAT(error.what(), HasSubstr("model: it has 'm1', this run 'm2'"));
  }
  EXPECT_EQ(toy.state(), before);
  other = identity();
  other.same["parallel.pp"] = "2";
  Job wider(*memory_, {}, other);
  EXPECT_THROW(wider.checkpointer.restore(*wider.checkpointer.newest(), toy), Error);
}

TEST_F(CheckpointerTest, AnotherShapeIsRefused) {
  Job job(*memory_);
  job.save(1);
  Toy toy(0, 1, 1, 10);
  EXPECT_THROW(job.checkpointer.restore(*job.checkpointer.newest(), toy), Error);
}

TEST_F(CheckpointerTest, ACrashAtAnyCallLeavesTheOldOrTheNew) {
  for (const bool power_cut : {false, true}) {
    int fired = 0;
    for (int call = 1;; ++call) {
      const auto inner = store::make_memory();
      store::Faulty faulty(*inner);
      bool crashed = false;
      {
        Job job(faulty);
        job.save(1);
        faulty.set({store::Call::kAny, call, store::Fault::What::kCrash});
        try {
          job.save(2);
        } catch (const store::Crash&) {
          crashed = true;
        }
      }
      if (!crashed) break;
      ++fired;
      if (power_cut) faulty.lose_unsynced();
      Job next(*inner);
      const auto step = next.restore_newest();
      EXPECT_TRUE(step == 1 || step == 2) << "call " << call << ": " << step;
      next.save(3);  // what the dead job left is in nobody's way
      EXPECT_EQ(next.restore_newest(), 3) << call;
      for (const auto& folder : list_steps(*inner, kFolder)) {
        EXPECT_TRUE(inner->exists(std::string(kFolder) + "/" + folder.name() + "/" + kManifestName))
            << call;
      }
    }
    EXPECT_GT(fired, 20);
  }
}

TEST_F(CheckpointerTest, AnErrorAtAnyCallIsThrownAndTheOldOneStays) {
  int fired = 0;
  for (int call = 1;; ++call) {
    store::Faulty faulty(*memory_);
    memory_->remove_tree("/run");
    Job job(faulty);
    job.save(1);
    faulty.set({store::Call::kAny, call, store::Fault::What::kShortWrite, ENOSPC});
    bool failed = false;
    try {
      job.save(2);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kStorage) << error.what();
      failed = true;
    }
    if (!faulty.fired()) break;
    ++fired;
    faulty.clear();
    const auto step = job.restore_newest();
    EXPECT_TRUE(step == 1 || step == 2) << call;
    EXPECT_TRUE(failed || step == 2) << call;
    job.save(3);
    EXPECT_EQ(job.restore_newest(), 3);
  }
  EXPECT_GT(fired, 20);
}

TEST_F(CheckpointerTest, OneRanksErrorIsEverybodysAndNothingIsLeft) {
  constexpr int kRanks = 3;
  std::vector<std::string> messages(kRanks);
  comm::run_threads(kRanks, [&](comm::Communicator& world) {
    store::Faulty faulty(*memory_);  // of this rank alone
    Checkpointer checkpointer(faulty, kFolder, {}, world.duplicate(), identity());
    Toy toy(world.rank(), kRanks, 1);
    checkpointer.save(1, toy);
    if (world.rank() == 1) faulty.set({store::Call::kSync, 1, store::Fault::What::kError, ENOSPC});
    try {
      checkpointer.save(2, toy);
    } catch (const Error& error) {
      messages[static_cast<std::size_t>(world.rank())] = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::kStorage);
    }
  });
  EXPECT_THAT(messages[0], HasSubstr("r00001.shard"));
  EXPECT_EQ(messages[1], messages[0]);
  EXPECT_EQ(messages[2], messages[0]);
  EXPECT_THAT(names(*memory_), ElementsAre("step-000000000001-0"));
}

TEST_F(CheckpointerTest, ADamagedCheckpointIsPassedOver) {
  Job job(*memory_);
  job.save(1);
  job.save(2);
  const std::string shard = std::string(kFolder) + "/step-000000000002-0/r00000.shard";
  const std::string whole = store::read_whole(*memory_, shard);
  for (const std::size_t at : {std::size_t{0}, std::size_t{100}, std::size_t{5000},
                               whole.size() - 5000, whole.size() - 4000, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    memory_->remove(shard);
    store::write_whole(*memory_, shard, damaged);
    EXPECT_EQ(job.restore_newest(), 1) << at;
  }
  memory_->remove(shard);
  EXPECT_EQ(job.restore_newest(), 1);
  store::write_whole(*memory_, shard, whole.substr(0, whole.size() - 1));
  EXPECT_EQ(job.restore_newest(), 1);
  memory_->remove(shard);
  store::write_whole(*memory_, shard, whole);
  EXPECT_EQ(job.restore_newest(), 2);
  const std::string manifest = std::string(kFolder) + "/step-000000000002-0/" + kManifestName;
  std::string text = store::read_whole(*memory_, manifest);
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 4);
  store::write_whole(*memory_, manifest, text);
  EXPECT_EQ(job.restore_newest(), 1);
}

TEST_F(CheckpointerTest, EveryFlippedByteIsFound) {
  Checkpointer checkpointer(*memory_, kFolder, {}, comm::make_local(), identity());
  Toy toy(0, 1, 1, 3);
  checkpointer.save(1, toy);
  const std::string folder = *checkpointer.newest();
  const std::string shard = folder + "/r00000.shard";
  const std::string whole = store::read_whole(*memory_, shard);
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    store::write_whole(*memory_, shard, damaged);
    EXPECT_THROW(CheckpointReader(*memory_, folder).verify(), Error) << at;
  }
}

TEST_F(CheckpointerTest, AShardOfAnotherStepIsFound) {
  Job job(*memory_);
  job.save(1);
  job.save(2);
  const std::string base = kFolder;
  const auto other = store::read_whole(*memory_, base + "/step-000000000001-0/r00000.shard");
  store::write_whole(*memory_, base + "/step-000000000002-0/r00000.shard", other);
  EXPECT_THROW(CheckpointReader(*memory_, base + "/step-000000000002-0").verify(), Error);
  EXPECT_EQ(job.restore_newest(), 1);
}

TEST_F(CheckpointerTest, ReaderFindsWhatTheUserNames) {
  Job job(*memory_);
  job.save(1);
  job.save(2);
  for (const char* path :
       {"/run", "/run/", "/run/checkpoints", "/run/checkpoints/step-000000000002-0"}) {
    const CheckpointReader reader(*memory_, path);
    EXPECT_EQ(reader.step(), 2) << path;
    EXPECT_EQ(reader.recipe(), "recipe text");
    EXPECT_EQ(reader.tensors().size(), 5U);
    EXPECT_EQ(core::to_floats(reader.tensor("t0", "param"))[0], 2.0F);
    EXPECT_EQ(reader.meta(0).numbers().at("number"), 2U);
    EXPECT_NO_THROW(reader.verify());
    EXPECT_THROW(reader.tensor("t0", "exp_avg"), Error);
  }
  EXPECT_EQ(CheckpointReader(*memory_, "/run/checkpoints/step-000000000001-0").step(), 1);
  EXPECT_THROW(CheckpointReader(*memory_, "/nothing"), Error);
}

TEST_F(CheckpointerTest, EqualStatesAreEqualBytesButForTheRun) {
  const auto other = store::make_memory();
  Job(*memory_).save(1);
  Job(*other).save(1);
  const std::string path = std::string(kFolder) + "/step-000000000001-0/r00000.shard";
  const auto a = store::read_whole(*memory_, path);
  const auto b = store::read_whole(*other, path);
  EXPECT_EQ(a.substr(4096, a.size() - 8192), b.substr(4096, b.size() - 8192));
  EXPECT_NE(a.substr(0, 64), b.substr(0, 64));
}

TEST(StepFolder, NamesReadBack) {
  EXPECT_EQ((StepFolder{12, 3}).name(), "step-000000000012-3");
  EXPECT_EQ(parse_step_folder("step-000000000012-3"), (StepFolder{12, 3}));
  for (const char* odd :
       {"step-12-3", "step-000000000012", "step-000000000012-", "step-000000000012-x",
        "step--000000000012-1", "quarantine", "step-000000000012-03", ""}) {
    EXPECT_EQ(parse_step_folder(odd), std::nullopt) << odd;
  }
}

}  // namespace
}  // namespace rw::ckpt
