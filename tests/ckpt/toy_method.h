// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

#include "core/method.h"

namespace rw::ckpt::test {

/// A method of a few tensors: tensor i is owned by rank i % ranks and held by all.
class Toy final : public core::Method {
 public:
  Toy(int rank, int ranks, float value, std::int64_t elems = 700) {
    for (int i = 0; i < 5; ++i) {
      auto& tensor = tensors_.emplace_back(core::Tensor::empty({elems + i}));
      std::vector<float> numbers(static_cast<std::size_t>(elems + i));
      for (std::size_t k = 0; k < numbers.size(); ++k) {
        numbers[k] = value + static_cast<float>(i) + static_cast<float>(k) * 1e-3F;
      }
      core::copy_from_host(numbers.data(), numbers.size() * sizeof(float), tensor);
      owned_.push_back(i % ranks == rank);
    }
    number_ = static_cast<std::uint64_t>(value);
    text_ = "text of " + std::to_string(number_);
  }
  core::StepResult step(std::int64_t) override { return {}; }
  std::optional<double> validate() override { return std::nullopt; }
  void visit_state(core::StateVisitor& visitor) override {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      visitor.tensor({"t" + std::to_string(i), i % 2 == 0 ? "param" : "exp_avg", owned_[i]},
                     tensors_[i]);
    }
    visitor.number("number", number_);
    visitor.text("text", text_);
  }
  void export_model(const std::string&) override {}

  /// Everything that makes up the state.
  std::vector<float> state() const {
    std::vector<float> out{static_cast<float>(number_), static_cast<float>(text_.size())};
    for (const auto& tensor : tensors_) {
      const auto numbers = core::to_floats(tensor);
      out.insert(out.end(), numbers.begin(), numbers.end());
    }
    return out;
  }

 private:
  std::vector<core::Tensor> tensors_;
  std::vector<bool> owned_;
  std::uint64_t number_ = 0;
  std::string text_;
};

}  // namespace rw::ckpt::test
