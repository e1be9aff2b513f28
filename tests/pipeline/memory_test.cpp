// Part of Ropewalk, MIT licence.
// What a step needs is known beforehand, and after the first step nothing more is asked for.
#include "pipeline/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <ostream>
#include <string>
#include <vector>

#include "comm/local.h"
#include "core/arena.h"
#include "kernels/threads.h"
#include "pipeline/planners.h"
#include "support/sanitized.h"
#include "tiny_job.h"

namespace {
/// What the whole program has asked operator new for.
std::atomic<std::size_t> news{0};      // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<std::size_t> most_new{0};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
}  // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory)
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++news;
  std::size_t most = most_new.load();
  while (bytes > most && !most_new.compare_exchange_weak(most, bytes)) {
  }
  if (void* out = std::malloc(bytes == 0 ? 1 : bytes); out != nullptr) return out;
  throw std::bad_alloc();
}
/// std::stable_sort asks for its room this way.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  ++news;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void operator delete(void* address) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t /*bytes*/) noexcept {
  std::free(address);
}
// NOLINTEND(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory)

namespace rw::pipeline {
namespace {

using test::TinyJob;

struct Layout {
  int dp, pp;
  const char* schedule;
  model::RecomputeOptions recompute;
  bool tied;
};

void PrintTo(const Layout& layout, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << "dp " << layout.dp << ", pp " << layout.pp << ", " << layout.schedule << ", recompute "
       << model::kRecomputeNames.at(static_cast<std::size_t>(layout.recompute.others)) << ", "
       << layout.recompute.full_layers << " layers full";
}

/// Large enough for tensors to outweigh a kernel's scratch.
struct SizedJob : TinyJob {
  explicit SizedJob(const Layout& layout) : TinyJob(layout.tied) {
    options.model.hidden_size = 128;
    options.model.head_dim = 32;
    options.model.intermediate_size = 256;
    options.model.max_position_embeddings = 64;
    options.seq_len = 64;
    options.micro_batch_size = 4;
    options.global_batch_size = 16;
    options.parallel = {layout.dp, layout.pp};
    options.pipeline.schedule = layout.schedule;
    options.recompute = layout.recompute;
  }
};

RankMemory predicted(const SizedJob& job, const TrainerParts& parts, int rank) {
  const auto& options = job.options;
  return predict_memory(options, parts.prefetch_steps, rank,
                        plan_for(options.parallel, options.pipeline,
                                 options.global_batch_size / options.micro_batch_size));
}

constexpr std::size_t kSmallBytes = 16
                                    << 10;  // an activation of a SizedJob has eight times as many

class MemoryOfLayout : public ::testing::TestWithParam<Layout> {};

TEST_P(MemoryOfLayout, NeedsWhatWasPredicted) {
  const SizedJob job(GetParam());
  test::on_ranks(GetParam().dp * GetParam().pp, [&](comm::Communicator& world) {
    const auto parts = job.parts(world);
    const auto want = predicted(job, parts, world.rank());
    make_trainer(job.options, job.parts(world))->step(1);  // kernels keep scratch per thread
    world.barrier().wait();
    const core::OwnArena arena;
    {
      const auto trainer = make_trainer(job.options, job.parts(world));
      for (int n = 1; n <= 3; ++n) trainer->step(n);
      world.barrier().wait();
    }
    const auto got = static_cast<double>(arena.memory().arena_bytes);
    // The scratch of kernels comes on top.
    EXPECT_NEAR(got, static_cast<double>(want.peak_bytes), 0.05 * got) << "rank " << world.rank();
    std::int64_t sum = 0;
    for (const auto& [what, bytes] : want.parts) sum += bytes;
    EXPECT_EQ(sum, want.peak_bytes);
    // Gradients live from their first contribution on, which may be after the peak.
    for (const char* what : {"weights", "optimizer", "activations"}) {
      EXPECT_TRUE(want.parts.contains(what)) << what;
    }
  });
}

/// Rows so long that the keys and values which attention packs for every thread are most of a step.
TEST(MemoryTest, KnowsWhatAttentionWorksIn) {
  SizedJob job({1, 1, "1f1b", {model::Recompute::kFull}, false});
  job.options.seq_len = rw::test::sanitized_or(256, 1024);
  job.options.model.max_position_embeddings = job.options.seq_len;
  job.options.model.intermediate_size = 16;  // so that most is held in the midst of attention
  job.options.micro_batch_size = 1;
  job.options.global_batch_size = 1;
  const int before = kernels::threads();
  std::vector<std::int64_t> peaks;
  for (const int threads : {1, 4}) {
    kernels::set_threads(threads);
    const auto parts = job.parts(*comm::make_local());
    const auto want = predicted(job, parts, 0);
    EXPECT_GT(want.parts.at("attention scratch"), 0);
    {
      const auto world = comm::make_local();
      make_trainer(job.options, job.parts(*world))->step(1);  // kernels keep scratch per thread
    }
    const core::OwnArena arena;
    {
      const auto world = comm::make_local();
      const auto trainer = make_trainer(job.options, job.parts(*world));
      for (int n = 1; n <= 2; ++n) trainer->step(n);
    }
    const auto got = static_cast<double>(arena.memory().arena_bytes);
    EXPECT_NEAR(got, static_cast<double>(want.peak_bytes), 0.02 * got) << threads;
    peaks.push_back(want.peak_bytes);
  }
  kernels::set_threads(before);
  EXPECT_GT(peaks.back(), peaks.front());
}

TEST_P(MemoryOfLayout, AsksTheSystemForNothingAfterTheSecondStep) {
  const SizedJob job(GetParam());
  test::on_ranks(GetParam().dp * GetParam().pp, [&](comm::Communicator& world) {
    const auto trainer = make_trainer(job.options, job.parts(world));
    // What the first step makes and keeps (scratch of kernels, tables) lies where its own activations
    // had no use for the place; the second may need the arena a little larger.
    for (int n = 1; n <= 2; ++n) trainer->step(n);
    world.barrier().wait();
    const auto before = core::host_memory().system_allocations;
    world.barrier().wait();
    for (int n = 3; n <= 5; ++n) trainer->step(n);
    world.barrier().wait();
    EXPECT_EQ(core::host_memory().system_allocations, before);
    world.barrier().wait();
    // What C++ objects take from the heap meanwhile are small things: names, maps, tickets.
    if (world.rank() == 0) news = most_new = 0;
    world.barrier().wait();
    trainer->step(6);
    world.barrier().wait();
    EXPECT_LT(most_new.load(), kSmallBytes);
    if (world.rank() == 0) {
      ::testing::Test::RecordProperty("news_per_step", static_cast<int>(news.load()));
    }
  });
}

constexpr model::RecomputeOptions kNone;
constexpr model::RecomputeOptions kSelective{model::Recompute::kSelective};
constexpr model::RecomputeOptions kFull{model::Recompute::kFull};
constexpr model::RecomputeOptions kMixed{model::Recompute::kSelective, 1};
/// The first ones have every schedule's own way with memory and every recompute among them.
std::vector<Layout> layouts() {
  std::vector<Layout> out{
      {1, 1, "gpipe", kFull, true},          {2, 2, "zero_bubble", kNone, true},
      {2, 2, "skippipe", kSelective, false}, {1, 1, "1f1b", kNone, false},
      {2, 1, "1f1b", kSelective, false},     {1, 2, "1f1b", kNone, true},
      {1, 2, "gpipe", kFull, false},         {1, 2, "interleaved", kSelective, false},
      {1, 2, "skippipe", kNone, true},       {1, 2, "zero_bubble", kMixed, false}};
  out.resize(rw::test::sanitized_or(std::size_t{3}, out.size()));
  return out;
}
INSTANTIATE_TEST_SUITE_P(Memory, MemoryOfLayout, ::testing::ValuesIn(layouts()));

TEST(PredictMemory, RecomputeAndSchedulesShowInTheActivations) {
  const auto activations = [](int pp, const char* schedule,
                              const model::RecomputeOptions& recompute) {
    const SizedJob job({1, pp, schedule, recompute, false});
    const auto parts = job.parts(*comm::make_local());
    return predicted(job, parts, 0).parts.at("activations");
  };
  EXPECT_LT(activations(1, "1f1b", kSelective), activations(1, "1f1b", kNone));
  EXPECT_LT(activations(1, "1f1b", kFull), activations(1, "1f1b", kSelective) / 2);
  EXPECT_LT(activations(1, "1f1b", kMixed), activations(1, "1f1b", kSelective));
  EXPECT_LT(activations(1, "1f1b", kFull), activations(1, "1f1b", kMixed));
  EXPECT_LT(activations(2, "1f1b", kNone), activations(2, "gpipe", kNone));
}

}  // namespace
}  // namespace rw::pipeline
