// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "metrics/step_record.h"

namespace rw::metrics {

/// CRC-32C (Castagnoli), reflected, as in RFC 3720 appendix B.4.
std::uint32_t crc32c(std::string_view bytes);

/// The CRC as TFRecord files hold it: rotated right by 15, plus 0xa282ead8.
std::uint32_t masked_crc32c(std::string_view bytes);

/// One TFRecord: length (u64), its masked CRC (u32), the data, its masked CRC (u32); little-endian.
std::string tfrecord(std::string_view data);

/// Serialised Event messages (proto/tensorboard.proto). `wall` in seconds since 1970.
std::string version_event(double wall);
std::string session_start_event(double wall, std::int64_t first_step);
std::string scalars_event(double wall, const StepRecord& record);

}  // namespace rw::metrics
