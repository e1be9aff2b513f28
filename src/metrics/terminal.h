// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>

#include "metrics/step_record.h"

namespace rw::metrics {

/// "step 120/1000 loss 3.2145 gnorm 0.83 lr 3.0e-04 tok/s 42.1k mfu 41.3% bubble 6.2% ckpt 0.1%
/// eta 12m" in one line of less than 120 columns, without a newline. "val X" follows the loss on
/// steps that validated; "mfu" is left out when it is not known. ckpt is the share of the time that
/// checkpoints blocked. `colour` adds escapes that take no column.
std::string step_line(const StepRecord& record, std::int64_t max_steps, double eta_s,
                      bool colour = false);

/// "950", "42.1k", "1.2M", "3.4G".
std::string short_count(double count);
/// "45s", "12m", "3h05m", "2d04h".
std::string short_time(double seconds);
/// "[########--------------------------------] 20%"
std::string progress_bar(std::int64_t step, std::int64_t max_steps);

}  // namespace rw::metrics
