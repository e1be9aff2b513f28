// Part of Ropewalk, MIT licence.
// What may happen to a run's folder between two saves, and to a job while it goes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "ckpt/checkpointer.h"
#include "ckpt/reader.h"
#include "comm/local.h"
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

class LostWorkTest : public ::testing::Test {
 protected:
  std::unique_ptr<store::Store> memory_ = store::make_memory();
};

void damage(store::Store& store, const std::string& path, std::size_t at) {
  std::string text = store::read_whole(store, path);
  text.at(at) = static_cast<char>(text.at(at) ^ 1);
  store::write_whole(store, path, text);
}

std::string layout_of(store::Store& store) {
  for (const auto& name : store.list(kFolder)) {
    if (name.rfind("layout-", 0) == 0) return std::string(kFolder) + "/" + name;
  }
  return "";
}

/// Every file below kFolder with its bytes.
std::map<std::string, std::string> everything(store::Store& store) {
  std::map<std::string, std::string> out;
  for (const auto& name : store.list(kFolder)) {
    const std::string path = std::string(kFolder) + "/" + name;
    if (store.file_bytes(path)) out[path] = store::read_whole(store, path);
    for (const auto& below : store.list(store.file_bytes(path) ? "/none" : path)) {
      const std::string inner = path + "/" + below;
      out[inner] = store.file_bytes(inner) ? store::read_whole(store, inner) : "";
    }
  }
  return out;
}

TEST_F(LostWorkTest, WhereNoneHoldsEachIsNamedAndNothingChanges) {
  const std::string step1 = std::string(kFolder) + "/step-000000000001-0/";
  const std::string step2 = std::string(kFolder) + "/step-000000000002-0/";
  const std::vector<std::function<void()>> faults{
      [&] { damage(*memory_, layout_of(*memory_), 3); },
      [&] { memory_->remove(layout_of(*memory_)); },
      [&] {
        damage(*memory_, step1 + kManifestName, 5);
        memory_->remove(step2 + "r00000.shard");
      },
      [&] {
        store::write_whole(*memory_, step1 + kManifestName, "");
        damage(*memory_, step2 + "r00000.shard", 5000);
      },
      [&] {  // swapped
        const auto one = store::read_whole(*memory_, step1 + kManifestName);
        const auto two = store::read_whole(*memory_, step2 + kManifestName);
        store::write_whole(*memory_, step1 + kManifestName, two);
        store::write_whole(*memory_, step2 + kManifestName, one);
      }};
  for (const auto& fault : faults) {
    memory_->remove_tree("/run");
    {
      Job job(*memory_);
      job.save(1);
      job.save(2);
    }
    fault();
    const auto before = everything(*memory_);
    Job next(*memory_);
    try {
      next.checkpointer.newest();
      FAIL() << "none holds";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kStorage);
      EXPECT_THAT(error.what(), HasSubstr("step-000000000001-0: "));
      EXPECT_THAT(error.what(), HasSubstr("step-000000000002-0: "));
    }
    EXPECT_EQ(everything(*memory_), before);
  }
}

TEST_F(LostWorkTest, AFolderThatCannotBeListedIsNoFolderWithoutCheckpoints) {
  {
    Job job(*memory_);
    job.save(1);
  }
  store::Faulty faulty(*memory_);
  Job next(faulty);
  faulty.set({store::Call::kList, 1, store::Fault::What::kError, EIO, true});
  EXPECT_THROW(next.checkpointer.newest(), Error);
  faulty.set({store::Call::kOpen, 1, store::Fault::What::kError, EIO, true});
  EXPECT_THROW(next.checkpointer.newest(), Error);
  faulty.clear();
  EXPECT_EQ(next.restore_newest(), 1);
}

TEST_F(LostWorkTest, WhatWasRemovedBetweenTwoSavesIsWrittenAgain) {
  const std::vector<std::function<void()>> faults{
      [&] { memory_->remove_tree(kFolder); },
      [&] { memory_->remove_tree("/run"); },
      [&] { memory_->remove(layout_of(*memory_)); },
      [&] { damage(*memory_, layout_of(*memory_), 3); },
      [&] { memory_->rename("/run", "/elsewhere"); },
      [&] { memory_->remove(std::string(kFolder) + "/" + kRunName); }};
  for (const auto& fault : faults) {
    memory_->remove_tree("/run");
    memory_->remove_tree("/elsewhere");
    Job job(*memory_);
    job.save(1);
    fault();
    job.save(2);
    EXPECT_EQ(Job(*memory_).restore_newest(), 2);
  }
}

TEST_F(LostWorkTest, AFolderThatIsAnotherRunsNowIsNotWrittenTo) {
  Job job(*memory_);
  job.save(1);
  memory_->rename("/run", "/elsewhere");
  Job(*memory_).save(7);
  const auto before = everything(*memory_);
  try {
    job.save(2);
    FAIL() << "wrote into the folder of another run";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStorage);
    EXPECT_THAT(error.what(), HasSubstr("another run"));
  }
  EXPECT_EQ(everything(*memory_), before);
}

/// A store from which somebody takes a file as soon as it has its name.
class Losing final : public store::Store {
 public:
  Losing(store::Store& inner, std::string ending) : inner_(inner), ending_(std::move(ending)) {}
  std::unique_ptr<store::WritableFile> create(const std::string& path) override {
    return inner_.create(path);
  }
  std::unique_ptr<store::ReadableFile> open(const std::string& path) override {
    return inner_.open(path);
  }
  bool exists(const std::string& path) override { return inner_.exists(path); }
  std::optional<std::uint64_t> file_bytes(const std::string& path) override {
    return inner_.file_bytes(path);
  }
  void rename(const std::string& from, const std::string& to) override {
    inner_.rename(from, to);
    if (to.ends_with(ending_)) inner_.remove(to);
  }
  void sync_folder(const std::string& path) override { inner_.sync_folder(path); }
  void make_folders(const std::string& path) override { inner_.make_folders(path); }
  void remove(const std::string& path) override { inner_.remove(path); }
  void remove_abandoned(const std::string& path) override { inner_.remove_abandoned(path); }
  void remove_tree(const std::string& path) override { inner_.remove_tree(path); }
  std::vector<std::string> list(const std::string& folder) override { return inner_.list(folder); }
  std::uint64_t free_bytes(const std::string& path) override { return inner_.free_bytes(path); }

 private:
  store::Store& inner_;
  std::string ending_;
};

TEST_F(LostWorkTest, ACommitThatCannotBeRestoredIsAnErrorAndTheOldOneStays) {
  for (const char* ending : {".shard", ".pb", "MANIFEST.pb"}) {
    memory_->remove_tree("/run");
    Job(*memory_).save(1);
    Losing losing(*memory_, ending);
    if (std::string(ending) == ".pb") memory_->remove(layout_of(*memory_));
    Job job(losing);
    try {
      job.save(2);
      ADD_FAILURE() << "committed without its " << ending;
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::kBug) << error.what();
    }
    EXPECT_TRUE(memory_->exists(std::string(kFolder) + "/step-000000000001-0/" + kManifestName));
  }
}

TEST_F(LostWorkTest, GoingBackIsWholeWhereverTheJobDies) {
  for (const bool power_cut : {false, true}) {
    int fired = 0;
    for (int call = 1;; ++call) {
      const auto inner = store::make_memory();
      {
        Job job(*inner, {0, 9, 0});
        for (const std::int64_t step : {10, 20, 30, 40}) job.save(step);
      }
      store::Faulty faulty(*inner);
      bool crashed = false;
      {
        Job job(faulty);
        Toy toy(0, 1, 0);
        const auto folder = job.checkpointer.find(20);
        job.checkpointer.restore(folder, toy);
        faulty.set({store::Call::kAny, call, store::Fault::What::kCrash});
        try {
          job.checkpointer.go_on_from(folder, 20, toy);
        } catch (const store::Crash&) {
          crashed = true;
        }
      }
      if (!crashed) break;
      ++fired;
      if (power_cut) faulty.lose_unsynced();
      Job next(*inner, {0, 9, 0});
      const auto step = next.restore_newest();
      EXPECT_TRUE(step == 20 || step == 40) << call << ": " << step;
      Toy toy(0, 1, static_cast<float>(step));
      next.checkpointer.go_on_from(*next.checkpointer.newest(), step, toy);
      next.save(step + 1);
      EXPECT_EQ(Job(*inner).restore_newest(), step + 1);
      std::size_t kept = 0;  // of the four, none is lost
      for (const auto& name : inner->list(std::string(kFolder) + "/quarantine")) {
        kept += parse_step_folder(name) ? 1U : 0U;
      }
      EXPECT_EQ(kept + list_committed(*inner, kFolder).size(), 5U) << call;
    }
    EXPECT_GT(fired, 8);
  }
}

TEST_F(LostWorkTest, ACheckpointOfAnotherFolderIsCommittedHereBeforeTheFirstStep) {
  Job here(*memory_);
  here.save(3);
  here.save(50);
  Checkpointer other(*memory_, "/other/checkpoints", {}, comm::make_local(), identity());
  Toy seven(0, 1, 7);
  other.save(7, seven);
  Toy toy(0, 1, -1);
  const std::string folder = "/other/checkpoints/step-000000000007-0";
  here.checkpointer.restore(folder, toy);
  here.checkpointer.go_on_from(folder, 7, toy);
  EXPECT_EQ(Job(*memory_).restore_newest(), 7);
  EXPECT_THAT(names(*memory_), ElementsAre("step-000000000007-0"));
  EXPECT_THAT(memory_->list(std::string(kFolder) + "/quarantine"),
              ElementsAre("step-000000000003-0", "step-000000000050-0"));
  // What was left behind can be named.
  const std::string left = std::string(kFolder) + "/quarantine/step-000000000050-0";
  EXPECT_EQ(CheckpointReader(*memory_, left).step(), 50);
  EXPECT_NO_THROW(CheckpointReader(*memory_, left).verify());
}

TEST_F(LostWorkTest, ACourseThatIsLeftTwiceIsKeptTwice) {
  Job job(*memory_);
  for (int i = 0; i < 3; ++i) {
    job.save(10);
    job.save(20);
    Toy toy(0, 1, 10);
    job.checkpointer.go_on_from(job.checkpointer.find(10), 10, toy);
  }
  EXPECT_THAT(memory_->list(std::string(kFolder) + "/quarantine"),
              ElementsAre("step-000000000020-0", "step-000000000020-0.1", "step-000000000020-0.2"));
}

TEST_F(LostWorkTest, AManifestListsOneShardOfEachRank) {
  Job job(*memory_);
  job.save(1);
  const std::string folder = std::string(kFolder) + "/step-000000000001-0";
  const auto whole = read_manifest(*memory_, folder);
  const std::vector<std::function<void(proto::Manifest&)>> faults{
      [](auto& m) { m.clear_files(); },
      [](auto& m) {
        m.clear_files();
        m.set_world_size(0);
      },
      [](auto& m) { m.set_world_size(2); },
      [](auto& m) { *m.add_files() = m.files(0); },
      [](auto& m) { m.mutable_files(0)->set_rank(1); },
      [](auto& m) { m.mutable_files(0)->set_name("../step-000000000001-0/r00000.shard"); },
      [](auto& m) { m.set_step(2); }};
  for (const auto& fault : faults) {
    auto manifest = whole;
    fault(manifest);
    write_manifest(*memory_, folder, manifest);
    try {
      read_manifest(*memory_, folder);
      ADD_FAILURE() << "taken for whole: " << manifest.ShortDebugString();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDataMalformed);
    }
  }
}

TEST_F(LostWorkTest, WhatFormerVersionsWroteForTheSameThingIsTheSame) {
  RunIdentity old = identity();
  old.same["data"] = "former digest";
  Job(*memory_, {}, old).save(1);
  RunIdentity now = identity();
  now.same["data"] = "digest";
  Toy toy(0, 1, 1);
  Job refused(*memory_, {}, now);
  EXPECT_THROW(refused.checkpointer.restore(*refused.checkpointer.newest(), toy), Error);
  now.former["data"] = "former digest";
  Job taken(*memory_, {}, now);
  EXPECT_EQ(taken.restore_newest(), 1);
}

}  // namespace
}  // namespace rw::ckpt
