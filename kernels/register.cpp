// Part of Ropewalk, MIT licence.
#include "kernels/register.h"

#include <cstddef>
#include <utility>

#include "core/device.h"
#include "core/dry_run.h"
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

template <class Result, class... Args>
using Function = Result (*)(Args...);

/// A function of whatever type is asked for that does nothing.
struct Nothing {
  template <class Result, class... Args>
  operator Function<Result, Args...>() const {  // NOLINT(google-explicit-constructor)
    return [](Args...) -> Result { return Result(); };
  }
};

template <class Twins, std::size_t... I>
Twins all_nothing(std::index_sequence<I...> /*members*/) {
  return Twins{(static_cast<void>(I), Nothing{})...};
}

/// Returns those of dry runs, which may be changed before the first one.
template <class Twins>
Twins& enter(const Twins& twins) {
  constexpr std::size_t kMembers = sizeof(Twins) / sizeof(void (*)());
  static Twins dry = all_nothing<Twins>(std::make_index_sequence<kMembers>());
  constexpr auto kAt = static_cast<std::size_t>(Twins::kOp);
  core::backend_table(core::DeviceKind::kCpu).twins[kAt] = &twins;
  core::dry_twins()[kAt] = &dry;
  return dry;
}

}  // namespace

void register_cpu() {
  enter(kMatmulCpu);
  AttentionTwins& dry_attention = enter(kAttentionCpu);
  dry_attention.forward = attention_forward_scratch;
  dry_attention.backward = attention_backward_scratch;
  enter(kRmsNormCpu).backward = rms_norm_backward_scratch;
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
