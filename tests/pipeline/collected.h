// Part of Ropewalk, MIT licence.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/method.h"
#include "tiny_job.h"

namespace rw::pipeline::test {

/// The state of a job put together from what its ranks own.
class Collected {
 public:
  void add(core::Method& method) {
    class Walk final : public core::StateVisitor {
     public:
      explicit Walk(Collected& to) : to_(to) {}
      void tensor(const core::StateTensor& what, core::Tensor& tensor) override {
        if (what.owned) to_.take(what, tensor);
      }
      void number(std::string_view /*key*/, std::uint64_t& /*value*/) override {}
      void text(std::string_view /*key*/, std::string& /*value*/) override {}

     private:
      Collected& to_;
    };
    const std::lock_guard lock(mutex_);
    Walk walk(*this);
    method.visit_state(walk);
  }
  const std::map<std::string, std::vector<float>>& values() const { return values_; }
  /// Every element was there exactly once.
  bool complete() const {
    for (const auto& [name, counts] : counts_) {
      for (const int count : counts) {
        if (count != 1) return false;
      }
    }
    return true;
  }

 private:
  void take(const core::StateTensor& what, const core::Tensor& tensor) {
    const core::Shape& shape = what.shape.rank() > 0 ? what.shape : tensor.shape();
    const std::string name = what.name + " " + what.kind;
    auto& values = values_[name];
    auto& counts = counts_[name];
    values.resize(static_cast<std::size_t>(shape.elems()), 0);
    counts.resize(values.size(), 0);
    const auto numbers = core::to_floats(tensor);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::size_t place = static_cast<std::size_t>(what.first) + i;
      values.at(place) = numbers[i];
      ++counts.at(place);
    }
  }
  std::mutex mutex_;
  std::map<std::string, std::vector<float>> values_;
  std::map<std::string, std::vector<int>> counts_;
};

/// What training gave: the results of its steps, as rank 0 has them, and the state behind the last.
struct Outcome {
  std::vector<core::StepResult> steps;
  std::map<std::string, std::vector<float>> state;
};

/// The first steps of the trainers that `make` makes on every rank. Their state must be complete.
inline Outcome outcome_of(int ranks, int steps, const MakeTrainer& make) {
  Outcome out;
  Collected collected;
  on_ranks(ranks, [&](comm::Communicator& world) {
    const auto trainer = make(world);
    for (int n = 1; n <= steps; ++n) {
      const auto result = trainer->step(n);
      if (world.rank() == 0) out.steps.push_back(result);
    }
    collected.add(*trainer);
  });
  EXPECT_TRUE(collected.complete());
  out.state = collected.values();
  return out;
}

}  // namespace rw::pipeline::test
