// Part of Ropewalk, MIT licence.
// What the scripts beside it ask of the program's own code:
//   network_tool link BYTES    two ranks under mpirun: the link between them, as JSON on rank 0
//   network_tool links BYTES   any number of ranks: latency and time of a message for every ordered pair
//   network_tool price PLAN PROBLEM    files: what simulate says of a plan at the problem's times
//   network_tool predict       a plan and its costs as JSON on stdin -> what simulate says of it
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "comm/session.h"
#include "core/error.h"
#include "core/json.h"
#include "metrics/timer.h"
#include "pipeline/classic.h"
#include "pipeline/emulation.h"
#include "pipeline/plan_check.h"
#include "pipeline/simulate.h"

namespace rw::bench {
namespace {

using core::Json;
using core::Tensor;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Half of the time that `bytes` take there and back, in seconds: median.
double half_round_trip(comm::Communicator& world, std::int64_t bytes, int repeats) {
  Tensor tensor = Tensor::zeros({bytes}, core::DType::kU8);
  const int peer = 1 - world.rank();
  std::vector<double> times;
  world.barrier().wait();
  for (int i = 0; i < repeats; ++i) {
    const auto begin = metrics::now_ns();
    if (world.rank() == 0) world.send(tensor, peer, 0).wait();
    world.receive(tensor, peer, 0).wait();
    if (world.rank() == 1) world.send(tensor, peer, 0).wait();
    times.push_back(static_cast<double>(metrics::now_ns() - begin) * 0.5e-9);
  }
  return median(times);
}

int link(std::int64_t bytes) {
  comm::MpiSession session;
  auto& world = session.world();
  if (world.size() != 2) {
    throw core::Error(core::ErrorKind::kUsage,
                      fmt::format("network_tool link: got {} ranks, want 2", world.size()));
  }
  constexpr std::int64_t kSmall = 8;
  half_round_trip(world, kSmall, 20);
  const double latency = half_round_trip(world, kSmall, 200);
  const double message = half_round_trip(world, bytes, 20) - latency;
  constexpr std::int64_t kLarge = 16 << 20;
  const double large = half_round_trip(world, kLarge, 5);
  if (world.rank() == 0) {
    std::cout << Json{{"latency_s", latency},
                      {"message_bytes", bytes},
                      {"message_s", message},
                      {"bytes_per_s", static_cast<double>(kLarge) / large}}
              << '\n';
  }
  return 0;
}

/// Seconds from sending `bytes` from one rank to the other until 8 bytes are back: median, on `from`.
double answered(comm::Communicator& world, int from, int to, std::int64_t bytes, int repeats) {
  Tensor message = Tensor::zeros({bytes}, core::DType::kU8);
  Tensor answer = Tensor::zeros({8}, core::DType::kU8);
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = metrics::now_ns();
    if (world.rank() == from) {
      world.send(message, to, 0).wait();
      world.receive(answer, to, 0).wait();
    } else {
      world.receive(message, from, 0).wait();
      world.send(answer, from, 0).wait();
    }
    times.push_back(static_cast<double>(metrics::now_ns() - begin) * 1e-9);
  }
  return median(times);
}

int links(std::int64_t bytes) {
  comm::MpiSession session;
  auto& world = session.world();
  const int size = world.size();
  constexpr int kRepeats = 7;
  Json latency = std::vector<std::vector<double>>(static_cast<std::size_t>(size));
  Json message = latency;
  for (int from = 0; from < size; ++from) {
    std::vector<double> latency_row(static_cast<std::size_t>(size), 0);
    std::vector<double> message_row = latency_row;
    for (int to = 0; to < size; ++to) {
      world.barrier().wait();
      if (from == to || (world.rank() != from && world.rank() != to)) continue;
      answered(world, from, to, bytes, 1);  // connections, windows
      const double small = answered(world, from, to, 8, kRepeats) / 2;
      latency_row[static_cast<std::size_t>(to)] = small;
      message_row[static_cast<std::size_t>(to)] =
          answered(world, from, to, bytes, kRepeats) - small;
    }
    const auto all = world.gather_text(Json{latency_row, message_row}.dump());
    const Json row = Json::parse(all[static_cast<std::size_t>(from)]);
    latency[static_cast<std::size_t>(from)] = row[0];
    message[static_cast<std::size_t>(from)] = row[1];
  }
  if (world.rank() == 0) {
    std::cout << Json{{"latency_s", latency}, {"message_bytes", bytes}, {"message_s", message}}
              << '\n';
  }
  return 0;
}

Json file_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw core::Error(core::ErrorKind::kDataMissing, path + ": cannot be read");
  return Json::parse(file);
}

int price(const std::string& plan_path, const std::string& problem_path) {
  const auto plan = pipeline::plan_from_json(file_json(plan_path), plan_path);
  const pipeline::Emulation emulation(
      pipeline::walk_costs_from_problem(file_json(problem_path), problem_path));
  const auto line = pipeline::simulate(plan, emulation.costs(plan, 1));
  std::vector<int> held;
  for (int rank = 0; rank < plan.ranks(); ++rank) held.push_back(pipeline::peak_live(plan, rank));
  std::cout << Json{{"makespan_s", line.makespan}, {"held", held}} << '\n';
  return 0;
}

int predict() {
  const Json in = Json::parse(std::cin);
  pipeline::Problem problem;
  problem.pp = in.at("pp");
  problem.chunks = in.at("chunks");
  problem.micro_batches = in.at("micro_batches");
  pipeline::Costs costs;
  costs.forward = in.at("forward").get<std::vector<double>>();
  costs.backward_input = in.at("backward_input").get<std::vector<double>>();
  costs.backward_weight = in.at("backward_weight").get<std::vector<double>>();
  costs.transfer = in.at("transfer");
  costs.message = in.at("message");
  const auto plan = pipeline::make_plan(in.at("schedule"), problem);
  const auto line = pipeline::simulate(plan, costs);
  std::cout << Json{{"makespan", line.makespan},
                    {"bubble", line.bubble},
                    {"mean_bubble", line.mean_bubble()}}
            << '\n';
  return 0;
}

}  // namespace
}  // namespace rw::bench

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 2 && words[0] == "link") return rw::bench::link(std::stoll(words[1]));
    if (words.size() == 2 && words[0] == "links") return rw::bench::links(std::stoll(words[1]));
    if (words.size() == 3 && words[0] == "price") return rw::bench::price(words[1], words[2]);
    if (words.size() == 1 && words[0] == "predict") return rw::bench::predict();
    std::cerr << "usage: network_tool link BYTES | links BYTES | price PLAN PROBLEM | predict < "
                 "costs.json\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return 2;
}
