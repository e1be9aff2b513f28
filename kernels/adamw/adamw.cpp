// Part of Ropewalk, MIT licence.
#include "kernels/adamw/adamw.h"

#include "kernels/adamw/twins.h"
#include "kernels/check.h"

namespace rw::kernels {

void adamw_update(Tensor& param, const Tensor& grad, Tensor& exp_avg, Tensor& exp_avg_sq,
                  const AdamwStep& options, Stream& stream) {
  const char* op = "adamw_update";
  const core::Shape& shape = param.shape();
  require_arguments(op, stream,
                    {{"param", &param, shape},
                     {"grad", &grad, shape},
                     {"exp_avg", &exp_avg, shape},
                     {"exp_avg_sq", &exp_avg_sq, shape}});
  if (options.step < 1) refuse(op, "step " + std::to_string(options.step), "a step from 1");
  core::twins<AdamwTwins>(param.device()).update(param, grad, exp_avg, exp_avg_sq, options, stream);
}

}  // namespace rw::kernels
