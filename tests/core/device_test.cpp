// Part of Ropewalk, MIT licence.
#include "core/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace rw::core {
namespace {

using ::testing::HasSubstr;

TEST(Device, Names) {
  EXPECT_EQ(Device{}.text(), "cpu");
  EXPECT_EQ((Device{DeviceKind::kCuda, 3}).text(), "cuda:3");
  EXPECT_EQ(Device{}, (Device{DeviceKind::kCpu, 0}));
}

TEST(Device, TheCpuIsBuiltIn) {
  const Backend& cpu = backend(DeviceKind::kCpu);
  EXPECT_STREQ(cpu.name, "cpu");
  EXPECT_EQ(cpu.device_count(), 1);
  load_backend(DeviceKind::kCpu);  // nothing to do
}

TEST(Device, AnOperationWithoutTwinIsRefusedByDevice) {
  const Backend saved = backend_table(DeviceKind::kCpu);
  backend_table(DeviceKind::kCpu).twins.fill(nullptr);
  try {
    find_twins({}, Op::kMatmul);
    ADD_FAILURE() << "found a twin in an empty table";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    EXPECT_THAT(error.what(), HasSubstr("cpu has no implementation"));
  }
  backend_table(DeviceKind::kCpu) = saved;
}

TEST(Device, StreamsAndEventsOfTheCpuAreDoneAtOnce) {
  Stream stream;
  Event event;
  event.record(stream);
  event.hold(stream);
  event.sync();
  stream.sync();
  Tensor tensor = Tensor::of({2}, {1, 2});
  fill_zero(tensor, stream);
  EXPECT_EQ(to_floats(tensor), (std::vector<float>{0, 0}));
}

/// A table of another device that is really the host: what the seam carries over.
class FakeCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    saved_ = backend_table(DeviceKind::kCuda);
    backend_table(DeviceKind::kCuda) = backend_table(DeviceKind::kCpu);
    backend_table(DeviceKind::kCuda).name = "fake";
  }
  void TearDown() override { backend_table(DeviceKind::kCuda) = saved_; }

 private:
  Backend saved_;
};

TEST_F(FakeCuda, TensorsCarryTheirDeviceAndCopiesGoThroughItsTable) {
  const Device device{DeviceKind::kCuda, 0};
  Stream stream(device);
  const Tensor host = Tensor::of({2, 2}, {1, 2, 3, 4});
  Tensor there = Tensor::empty({2, 2}, DType::kF32, device);
  EXPECT_EQ(there.device(), device);
  copy(host, there, stream);
  EXPECT_EQ(to_floats(there), to_floats(host));
  EXPECT_EQ(there.rows(1, 2).device(), device);
  EXPECT_EQ(to_floats(there.rows(1, 2)), (std::vector<float>{3, 4}));
}

}  // namespace
}  // namespace rw::core
