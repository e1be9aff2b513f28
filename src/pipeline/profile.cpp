// Part of Ropewalk, MIT licence.
#include "pipeline/profile.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <string>

#include "core/host_memory.h"
#include "core/json_reader.h"
#include "metrics/median.h"
#include "metrics/timer.h"
#include "model/stage.h"
#include "pipeline/placement.h"

namespace rw::pipeline {
namespace {

using core::Json;
using core::Tensor;

constexpr double kNanos = 1e9;
constexpr std::int64_t kSmallBytes = 64;
constexpr std::int64_t kFirstBytes = std::int64_t{64} << 10;
constexpr std::int64_t kLargestBytes = std::int64_t{4} << 20;
constexpr double kLongEnough = 20e-3;  // seconds; a larger message tells no more

double seconds_of(const std::function<void()>& call) {
  const std::int64_t begin = metrics::now_ns();
  call();
  return static_cast<double>(metrics::now_ns() - begin) / kNanos;
}

/// What one stage takes and keeps on this rank.
struct Measured {
  StageSeconds seconds;
  double saved_bytes = 0;   // of one micro-batch
  double static_bytes = 0;  // values, gradients, two moments
};

std::vector<std::int32_t> ramp(std::int64_t count, std::int64_t below) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i * 31) % below);
  }
  return out;
}

Measured measure_stage(const TrainerOptions& options, const model::StageRange& range, int repeats) {
  core::Stream stream(options.device);
  const auto params = model::make_params(options.model, {range}, options.device);
  params->initialise(options.model, options.seed);
  if (options.compute == core::DType::kBF16) params->compute_in_bf16();
  params->hold_copies(stream);
  model::Stage stage(options.model, range, params, options.device, options.recompute);
  const std::int64_t rows = options.micro_batch_size * options.seq_len;
  model::StageInput input;
  input.batch = options.micro_batch_size;
  input.tokens = options.seq_len;
  const auto ids = ramp(rows, options.model.vocab_size);
  if (range.embedding) {
    input.token_ids = Tensor::of_ints({rows}, ids, options.device);
  } else {
    const std::vector<float> ones(static_cast<std::size_t>(rows * options.model.hidden_size), 0.5F);
    input.x =
        Tensor::of({rows, options.model.hidden_size}, ones, core::DType::kF32, options.device);
  }
  if (range.head) {
    input.targets = Tensor::of_ints({rows}, ids, options.device);
    input.gradient_scale = 1.0F / static_cast<float>(rows);
  }
  std::array<std::vector<double>, 3> times;
  Measured out;
  for (int i = 0; i <= repeats; ++i) {
    std::unique_ptr<model::Saved> saved;
    model::StageOutput made;
    const double forward = seconds_of([&] { made = stage.forward(input, &saved, stream); });
    out.saved_bytes = static_cast<double>(saved->bytes());
    const Tensor dy = range.head ? Tensor() : made.y;
    const double backward_input = seconds_of([&] { stage.backward_input(*saved, dy, stream); });
    const double backward_weight =
        seconds_of([&] { stage.backward_weight(std::move(saved), {}, stream); });
    if (i == 0) continue;  // makes buffers and primitives
    times[0].push_back(forward);
    times[1].push_back(backward_input);
    times[2].push_back(backward_weight);
  }
  out.seconds = {metrics::median(times[0]), metrics::median(times[1]), metrics::median(times[2])};
  for (const model::Param& param : params->all) {
    out.static_bytes += 4.0 * static_cast<double>(param.value.bytes());
  }
  return out;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

/// This rank's node, but for its name.
TopologyNode measure_node(const TrainerOptions& options, const ProfileOptions& how, double memory,
                          comm::Communicator& world) {
  const int pp = static_cast<int>(options.parallel.pp);
  const auto layers =
      stage_layers(options.model.num_hidden_layers, pp, options.pipeline.stage_split);
  std::map<std::pair<std::int64_t, bool>, Measured> done;
  TopologyNode out;
  double kept = 0;
  double fixed = 0;
  for (std::size_t s = 0; s < layers.size(); ++s) {
    const auto [first, last] = layers[s];
    const std::pair<std::int64_t, bool> kind{last - first, s == 0};
    if (done.find(kind) == done.end()) {
      world.barrier().wait();
      done[kind] = measure_stage(options, {first, last, s == 0, false}, how.repeats);
    }
    const Measured& one = done.at(kind);
    out.stages.push_back(one.seconds);
    kept = std::max(kept, one.saved_bytes);
    fixed = std::max(fixed, one.static_bytes);
  }
  const std::int64_t end = options.model.num_hidden_layers;
  world.barrier().wait();
  const Measured head = measure_stage(options, {end, end, false, true}, how.repeats);
  out.head_s = head.seconds.forward + head.seconds.backward();
  const double room = memory - fixed - head.static_bytes - head.saved_bytes;
  out.memory_micro_batches =
      static_cast<int>(std::clamp(room / kept, 1.0, static_cast<double>(1 << 16)));
  return out;
}

/// One direction of one pair, as its first rank sees it: {seconds of an empty way, bytes/s}.
std::array<double, 2> measure_way(int from, int to, int repeats, comm::Communicator& world) {
  const int me = world.rank();
  constexpr int kTag = 1;
  const Tensor most = Tensor::zeros({kLargestBytes / 4});
  Tensor answer = Tensor::zeros({kSmallBytes / 4});
  const auto round_trip = [&](std::int64_t bytes) {
    std::vector<double> times;
    Tensor message = most.flat(0, bytes / 4);
    for (int i = 0; i <= repeats; ++i) {
      const double seconds = seconds_of([&] {
        if (me == from) {
          world.send(message, to, kTag).wait();
          world.receive(answer, to, kTag).wait();
        } else {
          world.receive(message, from, kTag).wait();
          world.send(answer, from, kTag).wait();
        }
      });
      if (i > 0) times.push_back(seconds);  // the first one connects
    }
    return metrics::median(times);
  };
  const double empty = round_trip(kSmallBytes);
  const double first = round_trip(kFirstBytes);
  double large = first;
  std::int64_t bytes = kFirstBytes;
  while (bytes < kLargestBytes) {
    // Both ranks have timed the same round trips and may differ by little: the sender decides.
    Tensor more = Tensor::zeros({16});
    if (me == from) {
      const float go = large < kLongEnough ? 1.0F : 0.0F;
      more = Tensor::of({16}, std::vector<float>(16, go), core::DType::kF32);
      world.send(more, to, kTag).wait();
    } else {
      world.receive(more, from, kTag).wait();
    }
    if (core::to_floats(more).front() == 0.0F) break;
    bytes *= 4;
    large = round_trip(bytes);
  }
  const double slope = bytes > kFirstBytes
                           ? (large - first) / static_cast<double>(bytes - kFirstBytes)
                           : (first - empty) / static_cast<double>(kFirstBytes - kSmallBytes);
  constexpr double kFastest = 1e-12;  // seconds a byte; what cannot be told from nothing
  return {empty / 2, 1 / std::max(slope, kFastest)};
}

/// Everybody's text, parsed.
std::vector<Json> share(comm::Communicator& world, const Json& mine) {
  std::vector<Json> out;
  for (const std::string& text : world.gather_text(mine.dump())) {
    out.push_back(core::parse_json(text, {"a rank's measurements"}));
  }
  return out;
}

}  // namespace

Topology measure_topology(const TrainerOptions& options, const ProfileOptions& how,
                          comm::Communicator& world) {
  const int ranks = world.size();
  const std::string host = host_name();
  const auto hosts = world.gather_text(host);
  const auto sharing = static_cast<double>(std::count(hosts.begin(), hosts.end(), host));
  const double memory =
      how.memory_bytes > 0 ? how.memory_bytes : core::available_bytes() / std::max(1.0, sharing);
  const TopologyNode mine = measure_node(options, how, memory, world);
  Json said;
  for (const StageSeconds& stage : mine.stages) {
    said["stages"].push_back({stage.forward, stage.backward_input, stage.backward_weight});
  }
  said["head_s"] = mine.head_s;
  said["memory"] = mine.memory_micro_batches;
  Topology out;
  out.latency_s = out.bandwidth = planner::Matrix(ranks);
  for (const Json& one : share(world, said)) {
    TopologyNode node;
    node.name = fmt::format("rank {} on {}", out.nodes.size(), hosts[out.nodes.size()]);
    node.listed = "forward_s";
    for (const Json& stage : one["stages"]) {
      node.stages.push_back(
          {stage[0].get<double>(), stage[1].get<double>(), stage[2].get<double>()});
    }
    node.head_s = one["head_s"].get<double>();
    node.memory_micro_batches = one["memory"].get<int>();
    out.nodes.push_back(std::move(node));
  }
  Json ways = Json::array();
  for (int from = 0; from < ranks; ++from) {
    for (int to = 0; to < ranks; ++to) {
      if (from == to) continue;
      if (world.rank() == from || world.rank() == to) {
        const auto way = measure_way(from, to, how.repeats, world);
        if (world.rank() == from) ways.push_back({from, to, way[0], way[1]});
      }
      world.barrier().wait();
    }
  }
  for (const Json& one : share(world, ways)) {
    for (const Json& way : one) {
      out.latency_s.at(way[0].get<int>(), way[1].get<int>()) = way[2].get<double>();
      out.bandwidth.at(way[0].get<int>(), way[1].get<int>()) = way[3].get<double>();
    }
  }
  return out;
}

}  // namespace rw::pipeline
