// Part of Ropewalk, MIT licence.
#include "kernels/register.h"

#include "core/device.h"
#include "kernels/adamw/twins.h"
#include "kernels/attention/twins.h"
#include "kernels/cross_entropy/twins.h"
#include "kernels/decode/twins.h"
#include "kernels/elementwise/twins.h"
#include "kernels/embedding/twins.h"
#include "kernels/matmul/twins.h"
#include "kernels/narrow_matmul/twins.h"
#include "kernels/reduce/twins.h"
#include "kernels/rms_norm/twins.h"
#include "kernels/rope/twins.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {
namespace {

template <class Twins>
void enter(const Twins& twins) {
  core::backend_table(core::DeviceKind::kCpu).twins[static_cast<std::size_t>(Twins::kOp)] = &twins;
}

}  // namespace

void register_cpu() {
  enter(kMatmulCpu);
  enter(kAttentionCpu);
  enter(kRmsNormCpu);
  enter(kRopeCpu);
  enter(kSwigluCpu);
  enter(kEmbeddingCpu);
  enter(kCrossEntropyCpu);
  enter(kAdamwCpu);
  enter(kElementwiseCpu);
  enter(kReduceCpu);
  enter(kNarrowMatmulCpu);
  enter(kDecodeCpu);
}

}  // namespace rw::kernels
