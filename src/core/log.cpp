// Part of Ropewalk, MIT licence.
#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "core/error.h"
#include "core/printable.h"

namespace rw::core {
namespace {

constexpr std::size_t kEarlyLines = 1000;

using Early = spdlog::sinks::ringbuffer_sink_mt;

/// With what is said before there is a file.
std::shared_ptr<spdlog::logger> make_logger() {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  sink->set_pattern("%v");
  auto logger = std::make_shared<spdlog::logger>("ropewalk", std::move(sink));
  logger->sinks().push_back(std::make_shared<Early>(kEarlyLines));
  logger->flush_on(spdlog::level::info);
  return logger;
}

// Shared by every thread of the process; spdlog's sinks are shared_ptr by its API.
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> kLogger = make_logger();
  return *kLogger;
}

}  // namespace

void log_info(const std::string& line) { logger().info(printable(line)); }
void log_warning(const std::string& line) { logger().warn("warning: " + printable(line)); }
void log_error(const std::string& line) { logger().error(printable(line)); }

void log_set_rank(int rank, int world) {
  if (world <= 1) return;
  auto& sink = *logger().sinks().front();
  sink.set_pattern("[rank " + std::to_string(rank) + "] %v");
  if (rank != 0) sink.set_level(spdlog::level::warn);
}

void log_add_file(const std::string& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %v");
    auto& sinks = logger().sinks();
    if (const auto early = std::dynamic_pointer_cast<Early>(sinks.back())) {
      for (const auto& line : early->last_raw()) sink->log(line);
      sinks.pop_back();
    }
    sinks.push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw Error(ErrorKind::kStorage, path + ": cannot open the log: " + error.what());
  }
}

}  // namespace rw::core
