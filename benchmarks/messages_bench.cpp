// Part of Ropewalk, MIT licence.
// What a waiting MPI rank costs, and how late its messages are:
//   mpirun --bind-to none -np 2 messages_bench [--receives 8] [--seconds 5] [--chunk-bytes N]
//   round trip  of 64 bytes, one after the other: median
//   lateness    from send() to the end of the receiver's wait(), after a pause: median
//   transfer    of 16 MiB after a pause of 100 ms: median of time and bytes/s
//   waiting     processor time of a rank that waits, of one core, with so many receives posted: for
//               messages every 50 ms, and for one that comes after --seconds
// Both ranks read one clock: run them on one machine.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "comm/session.h"
#include "core/tensor.h"

namespace rw::bench {
namespace {

using core::Tensor;
using Clock = std::chrono::steady_clock;

double now_s() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

double processor_s() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// Two ranks, 0 and 1; figures are printed by rank 1, which waits.
class Bench {
 public:
  explicit Bench(comm::Communicator& world) : world_(world), me_(world.rank()) {}

  void round_trip() {
    Tensor tensor = Tensor::zeros({16});
    std::vector<double> times;
    for (int i = 0; i < 5000; ++i) {
      const double begin = now_s();
      for (const int from : {1, 0}) {
        if (me_ == from) world_.send(tensor, 1 - me_, 0).wait();
        if (me_ != from) world_.receive(tensor, from, 0).wait();
      }
      times.push_back(now_s() - begin);
    }
    if (me_ == 1) std::printf("round trip: %.0f us\n", 1e6 * median(times));
  }

  /// Seconds from send() to the end of wait(), for each of `count` messages with pauses between.
  std::vector<double> late(std::int64_t floats, double pause_s, int count) {
    Tensor tensor = Tensor::zeros({floats});
    Tensor ready = Tensor::zeros({1});
    std::vector<double> out;
    for (int i = 0; i < count; ++i) {
      double begin = 0;
      if (me_ == 0) {
        world_.receive(ready, 1, 1).wait();
        sleep(pause_s);
        begin = now_s();
        std::memcpy(tensor.address(), &begin, sizeof begin);
        world_.send(tensor, 1, 2).wait();
      } else {
        comm::Ticket ticket = world_.receive(tensor, 0, 2);
        world_.send(ready, 0, 1).wait();
        ticket.wait();
        const double end = now_s();
        std::memcpy(&begin, tensor.address(), sizeof begin);
        out.push_back(end - begin);
      }
    }
    return out;
  }

  /// Rank 1 waits for `count` messages with `receives` posted; one comes every `pause_s`.
  void wait(int receives, double pause_s, int count) {
    std::vector<Tensor> tensors;
    std::vector<comm::Ticket> tickets;
    for (int i = 0; i < std::max(receives, count); ++i) tensors.push_back(Tensor::zeros({16}));
    world_.barrier().wait();
    const double begin = now_s();
    const double before = processor_s();
    const int total = static_cast<int>(tensors.size());
    if (me_ == 0) {
      for (int i = 0; i < total; ++i) {
        if (i < count) sleep(pause_s);
        world_.send(tensors[static_cast<std::size_t>(i)], 1, 3 + i).wait();
      }
      return;
    }
    for (int i = 0; i < total; ++i) {
      tickets.push_back(world_.receive(tensors[static_cast<std::size_t>(i)], 0, 3 + i));
    }
    for (auto& ticket : tickets) ticket.wait();
    std::printf(
        "waiting, %d receives posted, a message after %.2f s, %d times: %.1f %% of a core\n", total,
        pause_s, count, 100 * (processor_s() - before) / (now_s() - begin));
  }

  void all(int receives, double seconds) {
    round_trip();
    for (const double pause_s : {1e-4, 1e-3, 1e-2, 1e-1, 1.5}) {
      const int count = std::clamp(static_cast<int>(2 / pause_s), 3, 400);
      const auto times = late(16, pause_s, count);
      if (me_ == 1)
        std::printf("lateness after %g ms: %.0f us\n", 1e3 * pause_s, 1e6 * median(times));
    }
    constexpr std::int64_t kFloats = 4 << 20;
    const auto times = late(kFloats, 0.1, 20);
    if (me_ == 1) {
      std::printf("transfer: %.1f ms, %.2f GB/s\n", 1e3 * median(times),
                  4e-9 * kFloats / median(times));
    }
    wait(receives, 0.05, 40);
    wait(receives, seconds, 1);
  }

 private:
  comm::Communicator& world_;
  int me_;
};

}  // namespace
}  // namespace rw::bench

int main(int argc, char** argv) {
  CLI::App app("Messages between two ranks");
  int receives = 8;
  double seconds = 5;
  app.add_option("--receives", receives);
  app.add_option("--seconds", seconds);
  std::size_t chunk_bytes = rw::comm::MpiSession::kChunkBytes;
  app.add_option("--chunk-bytes", chunk_bytes);
  CLI11_PARSE(app, argc, argv);
  rw::comm::MpiSession session(chunk_bytes);
  if (session.world().size() != 2) {
    std::fprintf(stderr, "messages_bench: got %d ranks, want 2; try mpirun -np 2\n",
                 session.world().size());
    return 2;
  }
  rw::bench::Bench(session.world()).all(receives, seconds);
}
