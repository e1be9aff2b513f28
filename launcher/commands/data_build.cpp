// Part of Ropewalk, MIT licence.
#include "launcher/commands/data_build.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "data/builder.h"

namespace rw::launcher {
namespace {

core::Json describe(const std::string& path, const store::CorpusInfo& info) {
  return {{"path", path},
          {"tokens", info.tokens},
          {"documents", info.documents},
          {"text_bytes", info.text_bytes},
          {"vocab_size", info.vocab_size},
          {"content_sha256", info.content_sha256}};
}

void print_line(const std::string& path, const store::CorpusInfo& info) {
  std::cout << fmt::format("{}: {} tokens, {} documents, {} bytes of text, {:.2f} bytes a token\n",
                           path, info.tokens, info.documents, info.text_bytes,
                           static_cast<double>(info.text_bytes) / static_cast<double>(info.tokens));
}

}  // namespace

int run_data_build(const DataBuildOptions& options) {
  if (options.invalid != "error" && options.invalid != "replace") {
    throw core::Error(core::ErrorKind::kUsage,
                      fmt::format("--invalid {}: want error or replace", options.invalid));
  }
  if (options.on_bad_line != "stop" && options.on_bad_line != "skip") {
    throw core::Error(core::ErrorKind::kUsage,
                      fmt::format("--on-bad-line {}: want stop or skip", options.on_bad_line));
  }
  const bool share_fits = options.validation_share >= 0 && options.validation_share < 1;
  if (!share_fits) {
    throw core::Error(core::ErrorKind::kUsage, fmt::format("--validation-share {}: want 0 <= x < 1",
                                                           options.validation_share));
  }
  const auto tokenizer = data::load_tokenizer(options.tokenizer);
  data::BuildOptions build;
  build.out = options.out;
  build.files = options.files;
  build.tokenizer_name = std::filesystem::path(options.tokenizer).filename().string();
  build.end_token = data::end_token_id(*tokenizer, options.tokenizer, options.end_token);
  build.text.jsonl_field = options.jsonl_field;
  build.text.replace_invalid = options.invalid == "replace";
  build.text.any_bytes = tokenizer->takes_any_bytes();
  build.text.raw = options.raw;
  build.skip_bad_lines = options.on_bad_line == "skip";
  build.validation_share = options.validation_share;
  build.deduplicate = options.deduplicate;
  build.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const auto report = data::build_corpus(*tokenizer, build);
  if (report.skipped_lines > 0) {
    core::log_warning(fmt::format("data build: {} lines skipped, the first: {}",
                                  report.skipped_lines, report.first_skipped));
  }
  if (options.json) {
    core::Json json = describe(options.out, report.corpus);
    json["files"] = report.files;
    json["duplicates"] = report.duplicates;
    json["replaced"] = report.replaced;
    json["skipped_lines"] = report.skipped_lines;
    json["validation"] =
        report.validation ? describe(report.validation_path, *report.validation) : core::Json();
    std::cout << json.dump() << "\n";
    return 0;
  }
  print_line(options.out, report.corpus);
  if (report.validation) print_line(report.validation_path, *report.validation);
  if (report.duplicates > 0)
    std::cout << fmt::format("{} duplicates left out\n", report.duplicates);
  if (report.skipped_lines > 0)
    std::cout << fmt::format("{} lines skipped\n", report.skipped_lines);
  if (report.replaced > 0) {
    std::cout << fmt::format("{} invalid UTF-8 sequences replaced by U+FFFD\n", report.replaced);
  }
  return 0;
}

}  // namespace rw::launcher
