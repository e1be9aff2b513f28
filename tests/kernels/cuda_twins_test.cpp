// Part of Ropewalk, MIT licence.
// Needs a card (label gpu): every CUDA twin beside its CPU twin on the same inputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "kernels/adamw/adamw.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"

namespace rw::kernels {
namespace {

using core::Device;
using core::DeviceKind;
using core::Shape;

const Device kGpu{DeviceKind::kCuda, 0};

class CudaTwins : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    core::load_backend(DeviceKind::kCuda);
    ASSERT_GT(core::backend(DeviceKind::kCuda).device_count(), 0) << "no usable card";
  }

  /// Normal numbers, a function of the name and the shape alone.
  static Tensor random(const char* name, const Shape& shape) {
    Tensor out = Tensor::empty(shape);
    core::fill_normal(1, name, 1.0F, 0, out);
    return out;
  }

  Tensor to_gpu(const Tensor& host) {
    Tensor out = Tensor::empty(host.shape(), host.dtype(), kGpu);
    core::copy(host, out, stream_);
    stream_.sync();
    return out;
  }

  /// max|gpu - cpu| <= bound · max|cpu|
  void expect_alike(const Tensor& gpu, const Tensor& cpu, double bound) {
    stream_.sync();
    const auto got = core::to_floats(gpu);
    const auto want = core::to_floats(cpu);
    ASSERT_EQ(got.size(), want.size());
    double most = 0;
    double scale = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
      scale = std::max(scale, std::abs(static_cast<double>(want[i])));
    }
    EXPECT_LE(most, bound * scale) << cpu.text();
  }

  core::Stream stream_{kGpu};
  core::Stream cpu_;
};

const Shape kShapes[] = {{1, 1}, {3, 5}, {7, 33}, {64, 128}, {33, 1000}, {257, 512}, {2, 4097}};

TEST_F(CudaTwins, CopiesGoThereAndBack) {
  for (const Shape& shape : kShapes) {
    const Tensor host = random("copy", shape);
    EXPECT_EQ(core::to_floats(to_gpu(host)), core::to_floats(host));
  }
  Tensor zero = Tensor::zeros({1000}, core::DType::kF32, kGpu);
  for (const float x : core::to_floats(zero)) EXPECT_EQ(x, 0);
}

TEST_F(CudaTwins, EventsOrderTwoStreams) {
  core::Stream other(kGpu);
  core::Event ready(kGpu);
  const Tensor host = random("events", {1 << 20});
  Tensor first = Tensor::empty(host.shape(), host.dtype(), kGpu);
  Tensor second = Tensor::like(first);
  for (int i = 0; i < 20; ++i) {
    core::fill_zero(first, stream_);
    core::copy(host, first, stream_);
    ready.record(stream_);
    ready.hold(other);
    core::copy(first, second, other);
    other.sync();
    ASSERT_EQ(core::to_floats(second), core::to_floats(host));
    ready.sync();
  }
}

TEST_F(CudaTwins, MatmulEveryTransposeAndAccumulation) {
  for (const auto& [m, n, k] : {std::array{1, 1, 1}, std::array{3, 5, 7}, std::array{64, 64, 64},
                                std::array{100, 257, 33}, std::array{512, 384, 1024}}) {
    for (const Transpose ta : {Transpose::kNo, Transpose::kYes}) {
      for (const Transpose tb : {Transpose::kNo, Transpose::kYes}) {
        for (const Accumulate add : {Accumulate::kNo, Accumulate::kYes}) {
          const Tensor a = random("a", ta == Transpose::kYes ? Shape{k, m} : Shape{m, k});
          const Tensor b = random("b", tb == Transpose::kYes ? Shape{n, k} : Shape{k, n});
          Tensor c = random("c", {m, n});
          Tensor gpu = to_gpu(c);
          matmul(a, b, c, {ta, tb, add}, cpu_);
          matmul(to_gpu(a), to_gpu(b), gpu, {ta, tb, add}, stream_);
          expect_alike(gpu, c, 2e-6 * std::sqrt(static_cast<double>(k)));
        }
      }
    }
  }
}

TEST_F(CudaTwins, RmsNormForward) {
  for (const Shape& shape : kShapes) {
    const Tensor x = random("x", shape);
    const Tensor delta = random("delta", shape);
    const Tensor weight = random("weight", {shape[1]});
    Tensor y = Tensor::like(x), sum = Tensor::like(x), rstd = Tensor::empty({shape[0]});
    Tensor y2 = to_gpu(y), sum2 = to_gpu(sum), rstd2 = to_gpu(rstd);
    rms_norm_forward(x, weight, 1e-6F, y, rstd, cpu_);
    rms_norm_forward(to_gpu(x), to_gpu(weight), 1e-6F, y2, rstd2, stream_);
    expect_alike(y2, y, 3e-6);
    expect_alike(rstd2, rstd, 3e-6);
    add_rms_norm_forward(x, delta, weight, 1e-6F, sum, y, rstd, cpu_);
    add_rms_norm_forward(to_gpu(x), to_gpu(delta), to_gpu(weight), 1e-6F, sum2, y2, rstd2, stream_);
    expect_alike(sum2, sum, 0);
    expect_alike(y2, y, 3e-6);
  }
}

TEST_F(CudaTwins, RmsNormBackward) {
  for (const Shape& shape : kShapes) {
    const Tensor x = random("x", shape);
    const Tensor dy = random("dy", shape);
    const Tensor weight = random("weight", {shape[1]});
    const Tensor residual = random("residual", shape);
    Tensor y = Tensor::like(x), rstd = Tensor::empty({shape[0]});
    rms_norm_forward(x, weight, 1e-6F, y, rstd, cpu_);
    for (const bool with_residual : {false, true}) {
      Tensor dx = Tensor::like(x);
      Tensor dx2 = to_gpu(dx);
      Tensor dweight = random("dweight", {shape[1]});
      Tensor dweight2 = to_gpu(dweight);
      rms_norm_backward(dy, x, weight, rstd, with_residual ? residual : Tensor(), dx, dweight,
                        cpu_);
      rms_norm_backward(to_gpu(dy), to_gpu(x), to_gpu(weight), to_gpu(rstd),
                        with_residual ? to_gpu(residual) : Tensor(), dx2, dweight2, stream_);
      expect_alike(dx2, dx, 1e-5);
      expect_alike(dweight2, dweight, 1e-5);
      if (with_residual) continue;
      Tensor both = to_gpu(dy);  // dx in place of dy
      Tensor dweight3 = to_gpu(random("dweight", {shape[1]}));
      rms_norm_backward(both, to_gpu(x), to_gpu(weight), to_gpu(rstd), Tensor(), both, dweight3,
                        stream_);
      expect_alike(both, dx, 1e-5);
      expect_alike(dweight3, dweight, 1e-5);
    }
  }
}

TEST_F(CudaTwins, Swiglu) {
  for (const Shape& shape : kShapes) {
    const Tensor gate_up = random("gate_up", {shape[0], 2 * shape[1]});
    const Tensor dout = random("dout", shape);
    Tensor out = Tensor::empty(shape), dgate_up = Tensor::like(gate_up);
    Tensor out2 = to_gpu(out), in_place = to_gpu(gate_up);
    swiglu_forward(gate_up, out, cpu_);
    swiglu_forward(in_place, out2, stream_);
    expect_alike(out2, out, 2e-6);
    swiglu_backward(gate_up, dout, dgate_up, cpu_);
    swiglu_backward(in_place, to_gpu(dout), in_place, stream_);
    expect_alike(in_place, dgate_up, 2e-6);
  }
}

TEST_F(CudaTwins, AdamwOverSomeSteps) {
  for (const std::int64_t elems : {1, 31, 4096, 100003}) {
    Tensor param = random("param", {elems});
    Tensor m = Tensor::zeros({elems}), v = Tensor::zeros({elems});
    Tensor param2 = to_gpu(param), m2 = to_gpu(m), v2 = to_gpu(v);
    for (int step = 1; step <= 5; ++step) {
      const Tensor grad = random(step % 2 == 0 ? "even" : "odd", {elems});
      AdamwStep options;
      options.lr = 1e-2;
      options.weight_decay = 0.1;
      options.step = step;
      options.gradient_scale = 0.7F;
      adamw_update(param, grad, m, v, options, cpu_);
      adamw_update(param2, to_gpu(grad), m2, v2, options, stream_);
    }
    expect_alike(param2, param, 1e-6);
    expect_alike(m2, m, 1e-6);
    expect_alike(v2, v, 1e-6);
  }
}

TEST_F(CudaTwins, RunsGiveTheSameBits) {
  const Tensor x = to_gpu(random("x", {257, 512}));
  const Tensor dy = to_gpu(random("dy", {257, 512}));
  const Tensor rstd = to_gpu(random("rstd", {257}));
  const Tensor weight = to_gpu(random("weight", {512}));
  Tensor dx = Tensor::like(x);
  std::vector<float> first;
  for (int i = 0; i < 5; ++i) {
    Tensor dweight = Tensor::zeros({512}, core::DType::kF32, kGpu);
    rms_norm_backward(dy, x, weight, rstd, Tensor(), dx, dweight, stream_);
    stream_.sync();
    if (first.empty()) first = core::to_floats(dweight);
    EXPECT_EQ(core::to_floats(dweight), first);
  }
}

}  // namespace
}  // namespace rw::kernels
