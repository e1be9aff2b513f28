// Part of Ropewalk, MIT licence.
#include "core/tensor.h"

#include <gtest/gtest.h>

#include <functional>

namespace rw::core {
namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(TensorTest, HoldsNumbersInRowMajorOrder) {
  const Tensor t = Tensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(t.elems(), 6);
  EXPECT_EQ(t.bytes(), 24U);
  EXPECT_EQ(to_floats(t.rows(1, 2)), (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(to_floats(t.flat(2, 5)), (std::vector<float>{3, 4, 5}));
}

TEST(TensorTest, ViewsAreNamesOfTheSameMemory) {
  Tensor t = Tensor::zeros({2, 2});
  Tensor row = t.rows(1, 2);
  const float values[2] = {7, 8};
  copy_from_host(values, sizeof values, row);
  EXPECT_EQ(to_floats(t), (std::vector<float>{0, 0, 7, 8}));
  EXPECT_EQ(to_floats(t.view({4})), (std::vector<float>{0, 0, 7, 8}));
}

TEST(TensorTest, AViewKeepsTheMemoryAlive) {
  Tensor row;
  {
    const Tensor t = Tensor::of({2, 1}, {3, 4});
    row = t.rows(1, 2);
  }
  EXPECT_EQ(to_floats(row), std::vector<float>{4});
}

TEST(TensorTest, MemoryThatIsGivenBackComesAgainUnderAllNames) {
  Tensor t = Tensor::zeros({3, 2});
  const Tensor row = t.rows(1, 2);
  t.give_back();
  EXPECT_TRUE(row.defined());
  EXPECT_EQ(row.address(), nullptr);
  EXPECT_EQ(t.rows(2, 3).address(), nullptr);
  t.give_back();
  t.take();
  const float numbers[] = {1, 2, 3, 4, 5, 6};
  copy_from_host(numbers, sizeof(numbers), t);
  EXPECT_EQ(to_floats(row), (std::vector<float>{3, 4}));
  void* const place = t.address();
  t.take();
  EXPECT_EQ(t.address(), place);
}

TEST(TensorTest, ConvertsToTheAskedDtype) {
  EXPECT_EQ(to_floats(Tensor::of({2}, {1.5F, -2}, DType::kBF16)), (std::vector<float>{1.5F, -2}));
  EXPECT_EQ(to_floats(Tensor::of({2}, {1, -2}, DType::kI32)), (std::vector<float>{1, -2}));
}

TEST(TensorTest, RefusalsSayWhatWasGotAndWanted) {
  const Tensor a = Tensor::of({1, 2}, {1, 2});
  const Tensor b = Tensor::of({2, 1}, {1, 2});
  EXPECT_EQ(message_of([&] {
              require_alike("op", {{"a", &a}, {"b", &b}});
            }),
            "op: got a f32 [1, 2], b f32 [2, 1]; want one shape, dtype and device");
  EXPECT_EQ(message_of([&] { require("op", "a", a, {3}); }), "op: got a f32 [1, 2]; want f32 [3]");
  EXPECT_EQ(message_of([&] { (void)a.view({3}); }),
            "view: got f32 [1, 2], want the elements of [3]");
  EXPECT_EQ(message_of([&] { (void)a.rows(0, 2); }), "rows: got [0, 2) of f32 [1, 2]");
  EXPECT_EQ(message_of([&] { (void)a.data<std::int32_t>(); }),
            "data: got f32 [1, 2], want dtype i32");
  EXPECT_EQ(message_of([&] { (void)Tensor::of({3}, {1}); }),
            "Tensor::of: got 1 values, want shape [3]");
  EXPECT_EQ(message_of([] { (void)Shape({1, 2, 3, 4, 5, 6}); }), "Shape: more than 5 dimensions");
}

TEST(TensorTest, AskingForAnUnloadedDeviceNamesTheBackend) {
  if (backend_table(DeviceKind::kCuda).name != nullptr) return;  // loaded: other tests speak
  EXPECT_EQ(message_of([] {
              (void)Tensor::empty({1}, DType::kF32, Device{DeviceKind::kCuda, 0});
            }),
            "device cuda: got no loaded backend, want librw_cuda.so beside the program; build the "
            "preset `cuda`");
}

}  // namespace
}  // namespace rw::core
