// Part of Ropewalk, MIT licence.
#include "pipeline/bucket_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "core/dry_run.h"
#include "core/log.h"
#include "metrics/median.h"
#include "metrics/timer.h"

namespace rw::pipeline {
namespace {

constexpr std::int64_t kStep = 64 << 10;
constexpr std::int64_t kMost = 64 << 20;
constexpr std::int64_t kMostSteps = kMost / kStep;
constexpr std::int64_t kSmallBytes = 8 << 10;
constexpr std::int64_t kFirstBytes = 256 << 10;
constexpr std::int64_t kLargestBytes = 4 << 20;
constexpr double kLongEnough = 5e-3;  // seconds; beyond it a larger tensor tells no more

/// Median of some sums of the first `bytes` of `memory`, in seconds.
double time_sum(comm::Communicator& group, comm::Wire wire, const core::Tensor& memory,
                std::int64_t bytes, std::size_t repeats) {
  core::Tensor tensor = memory.flat(0, bytes / static_cast<std::int64_t>(sizeof(float)));
  std::vector<double> times;
  for (std::size_t i = 0; i < repeats; ++i) {
    group.barrier().wait();
    const std::int64_t begin = metrics::now_ns();
    group.all_reduce_sum(tensor, wire).wait();
    times.push_back(static_cast<double>(metrics::now_ns() - begin) * 1e-9);
  }
  return metrics::median(times);
}

/// The largest of all ranks' times.
double slowest(comm::Communicator& group, double seconds) {
  std::array<std::uint64_t, 1> ns{static_cast<std::uint64_t>(seconds * 1e9)};
  group.all_reduce_max(ns).wait();
  return static_cast<double>(ns[0]) * 1e-9;
}

}  // namespace

LinkCost measure_link(comm::Communicator& group, comm::Wire wire, std::int64_t most_bytes) {
  constexpr std::size_t kSmallRepeats = 9;
  constexpr std::size_t kLargeRepeats = 3;
  const std::int64_t limit = std::clamp(most_bytes, kFirstBytes, kLargestBytes);
  const core::Tensor memory =
      core::Tensor::zeros({limit / static_cast<std::int64_t>(sizeof(float))});
  time_sum(group, wire, memory, kSmallBytes, 1);  // connects
  LinkCost out;
  out.latency_s = time_sum(group, wire, memory, kSmallBytes, kSmallRepeats);
  double large = 0;
  std::int64_t bytes = kFirstBytes;
  while (true) {
    large = time_sum(group, wire, memory, bytes, kLargeRepeats);
    if (bytes * 4 > limit || slowest(group, large) > kLongEnough) break;
    bytes *= 4;
  }
  out.seconds_per_byte =
      std::max(0.0, large - out.latency_s) / static_cast<double>(bytes - kSmallBytes);
  return out;
}

std::int64_t best_bucket_bytes(std::int64_t gradient_bytes, const LinkCost& link) {
  if (link.seconds_per_byte <= 0) return kMost;
  const double best =
      std::sqrt(static_cast<double>(gradient_bytes) * link.latency_s / link.seconds_per_byte);
  const double steps = std::clamp(std::round(best / static_cast<double>(kStep)), 1.0,
                                  static_cast<double>(kMostSteps));
  return static_cast<std::int64_t>(steps) * kStep;
}

std::int64_t choose_bucket_bytes(const Pieces& pieces, comm::Communicator& world, comm::Wire wire) {
  const bool dry = core::DryRun::current() != nullptr;  // nothing travels
  std::array<std::uint64_t, 1> bytes{static_cast<std::uint64_t>(pieces.bytes())};
  world.all_reduce_max(bytes).wait();
  const auto most = static_cast<std::int64_t>(bytes[0]);
  if (most <= kStep) return kStep;
  // The order of groups is that of their first pieces: the same on all ranks that share two of them.
  std::set<const comm::Communicator*> done;
  LinkCost worst;
  for (const Piece& piece : pieces.all()) {
    if (!done.insert(piece.group).second) continue;
    const LinkCost one = measure_link(*piece.group, wire, most);
    worst.latency_s = std::max(worst.latency_s, one.latency_s);
    worst.seconds_per_byte = std::max(worst.seconds_per_byte, one.seconds_per_byte);
  }
  worst.latency_s = slowest(world, worst.latency_s);
  constexpr double kMebi = 1 << 20;
  worst.seconds_per_byte = slowest(world, worst.seconds_per_byte * kMebi) / kMebi;
  if (dry) return kMost;
  const std::int64_t best = best_bucket_bytes(most, worst);
  if (world.rank() == 0) {
    core::log_info(
        fmt::format("gradients travel in buckets of {:.2f} MiB: a sum over replicas takes {:.2f} "
                    "ms + {:.2f} ms "
                    "per MiB",
                    static_cast<double>(best) / kMebi, worst.latency_s * 1e3,
                    worst.seconds_per_byte * kMebi * 1e3));
  }
  return best;
}

}  // namespace rw::pipeline
