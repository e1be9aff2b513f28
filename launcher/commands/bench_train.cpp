// Part of Ropewalk, MIT licence.
#include "launcher/commands/bench_train.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/json_reader.h"
#include "launcher/assemble.h"
#include "launcher/machine_limits.h"
#include "launcher/random_corpus.h"
#include "launcher/ranks.h"
#include "launcher/recipe_facts.h"
#include "launcher/step_parts.h"
#include "metrics/process_memory.h"
#include "metrics/timer.h"
#include "model/flops.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;

constexpr int kWarmUp = 2;
constexpr double kNanosPerSecond = 1e9;
constexpr double kMillisPerSecond = 1e3;

/// A recipe's trainer, ready for steps.
class Bench {
 public:
  Bench(const recipe::Recipe& recipe, bool random_data, comm::Communicator& world)
      : recipe_(recipe), world_(world), base_bytes_(metrics::process_memory().resident_bytes) {
    pipeline::PlanCycle plans;
    together(world, [&] {
      plans = make_plans(recipe);
      corpora_ = random_data ? make_random_corpus(recipe)
                             : std::make_shared<data::Corpora>(recipe.data, recipe.train.seq_len);
      trainer_ = trainer_options(recipe, *corpora_);
    });
    method_ = make_method(recipe, trainer_,
                          pipeline::TrainerParts{world, corpora_, make_order(recipe, *corpora_)},
                          std::move(plans));
  }

  StepSample step() {
    StepSample out;
    core::count_ops(&out.ops);
    const std::int64_t begin = metrics::now_ns();
    out.result = method_->step(++done_);
    out.seconds = static_cast<double>(metrics::now_ns() - begin) / kNanosPerSecond;
    core::count_ops(nullptr);
    return out;
  }
  GemmLimit gemms() const { return measure_gemms(trainer_.model, trainer_.compute, rows()); }
  std::uint64_t base_bytes() const { return base_bytes_; }
  std::int64_t tokens() const { return recipe_.train.global_batch_size * recipe_.train.seq_len; }

  /// This rank's share of a step's work, at the rates measured now. Collective, so that all ranks
  /// of a machine measure at once, as they train.
  StepLimits limits() const {
    world_.barrier().wait();
    const GemmLimit gemm = gemms();
    const double share = static_cast<double>(tokens()) / static_cast<double>(rows()) /
                         static_cast<double>(world_.size());
    const double per_token = model::flops_per_token(trainer_.model, recipe_.train.seq_len) -
                             gemm.flops / static_cast<double>(rows());
    StepLimits out;
    out.gemm_seconds = gemm.seconds * share;
    out.attention_seconds = per_token * static_cast<double>(rows()) * share / gemm.rate();
    world_.barrier().wait();
    out.bytes_per_second = measure_bandwidth();
    return out;
  }

 private:
  std::int64_t rows() const { return recipe_.train.micro_batch_size * recipe_.train.seq_len; }

  const recipe::Recipe& recipe_;
  comm::Communicator& world_;
  std::uint64_t base_bytes_;
  std::shared_ptr<const data::Corpora> corpora_;  // shared with the trainer
  pipeline::TrainerOptions trainer_;
  std::unique_ptr<core::Method> method_;
  std::int64_t done_ = 0;
};

Json report(const std::vector<StepPart>& parts, const StepLimits& limits, const Bench& bench,
            const RankPlan& ranks) {
  const StepPart& step = parts.back();
  Json out;
  out["ranks"] = ranks.ranks;
  out["threads_per_rank"] = ranks.threads;
  out["step_ms"] = step.seconds * kMillisPerSecond;
  out["tokens_per_s"] = static_cast<double>(bench.tokens()) / step.seconds;
  out["memory_bytes_per_s"] = limits.bytes_per_second;
  out["peak_bytes"] = metrics::process_memory().peak_bytes;
  for (const StepPart& part : parts) {
    Json one;
    one["name"] = part.name;
    one["ms"] = part.seconds * kMillisPerSecond;
    one["of_step"] = part.seconds / step.seconds;
    if (part.limit_seconds > 0) {
      one["limit_ms"] = part.limit_seconds * kMillisPerSecond;
      if (part.seconds > 0) one["of_limit"] = part.limit_seconds / part.seconds;
    }
    out["parts"].push_back(one);
  }
  return out;
}

void print(const Json& report) {
  std::cout << fmt::format("{} ranks x {} threads, {:.0f} tokens/s, {:.1f} GB/s of memory\n",
                           report["ranks"].get<int>(), report["threads_per_rank"].get<int>(),
                           report["tokens_per_s"].get<double>(),
                           report["memory_bytes_per_s"].get<double>() / 1e9);
  std::cout << fmt::format("{:<22} {:>9} {:>8} {:>9} {:>9}\n", "part", "ms", "of step", "limit ms",
                           "of limit");
  for (const auto& part : report["parts"]) {
    std::cout << fmt::format("{:<22} {:>9.2f} {:>6.1f} %", part["name"].get<std::string>(),
                             part["ms"].get<double>(), 100 * part["of_step"].get<double>());
    if (part.contains("limit_ms"))
      std::cout << fmt::format(" {:>9.2f}", part["limit_ms"].get<double>());
    if (part.contains("of_limit")) {
      std::cout << fmt::format(" {:>7.1f} %", 100 * part["of_limit"].get<double>());
    }
    std::cout << '\n';
  }
}

/// `command`["do"]; empty where it is no text, or asks for steps whose count is none.
std::string asked(const Json& command) {
  const Json what = command.value("do", Json());
  const Json count = command.value("count", Json(1));
  const bool counted = count.is_number_integer() && count.get<std::int64_t>() >= 1;
  return what.is_string() && counted ? what.get<std::string>() : "";
}

Json answer(Bench& bench, const Json& command) {
  const std::string what = asked(command);
  Json out = Json::object();
  if (what == "steps") {
    const std::int64_t count = command.value("count", std::int64_t{1});
    for (std::int64_t i = 0; i < count; ++i) {
      const StepSample sample = bench.step();
      out["step_s"].push_back(sample.seconds);
      out["loss"].push_back(sample.result.loss);
    }
  } else if (what == "gemm") {
    const GemmLimit limit = bench.gemms();
    out["gemm_flops"] = limit.rate();
    out["gemm_s"] = limit.seconds;
  } else if (what == "memory") {
    out["peak_bytes"] = metrics::process_memory().peak_bytes;
    out["base_bytes"] = bench.base_bytes();
  } else if (what == "reset_memory") {
    metrics::reset_peak_memory();
  } else {
    throw Error(ErrorKind::kUsage, fmt::format("bench train --serve: got '{}', want \"do\": steps, "
                                               "gemm, memory or reset_memory; \"count\" of "
                                               "steps: a whole number >= 1",
                                               command.dump()));
  }
  return out;
}

int serve(Bench& bench) {
  for (std::string line; std::getline(std::cin, line);) {
    const Json command = core::parse_json_if_whole(line).value_or(Json());
    std::cout << answer(bench, command.is_object() ? command : Json::object()).dump() << std::endl;
  }
  return 0;
}

int run_rank(const BenchTrainOptions& options, const recipe::Recipe& recipe,
             const RankParts& rank) {
  comm::Communicator& world = rank.world;
  world.barrier().wait();
  rank.alarm.stop();
  Bench bench(recipe, options.random_data, world);
  if (options.serve) return serve(bench);
  for (int i = 0; i < kWarmUp; ++i) bench.step();
  std::vector<StepSample> samples;
  samples.reserve(static_cast<std::size_t>(options.steps));
  for (int i = 0; i < options.steps; ++i) samples.push_back(bench.step());
  const StepLimits limits = bench.limits();
  const auto parts = step_parts(std::move(samples), limits, world);
  if (world.rank() != 0) return 0;
  const Json out = report(parts, limits, bench, rank.plan);
  if (options.json) {
    std::cout << out.dump(2) << '\n';
  } else {
    print(out);
  }
  return 0;
}

/// Facts of the recipe for a run that opens none of its corpora.
recipe::Facts without_corpora(recipe::Facts facts, const BenchTrainOptions& options) {
  if (options.random_data) facts.corpus_vocab = nullptr;
  if (options.random_data) facts.file_problem = nullptr;
  return facts;
}

}  // namespace

int run_bench_train(const BenchTrainOptions& options) {
  const Place place = find_place();
  auto job =
      load_job(place, options.recipe, options.overrides, without_corpora(gather_facts(), options));
  if (job.exit_code) return *job.exit_code;
  const RankPlan ranks = plan_ranks(place, job.recipe);
  if (options.serve && ranks.ranks > 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("bench train --serve: got {} ranks, want 1", ranks.ranks));
  }
  const Start start = start_of("bench train",
                               {{"--steps", std::to_string(options.steps)},
                                {"--random-data", options.random_data ? "yes" : "no"},
                                {"--serve", options.serve ? "yes" : "no"}},
                               job, ranks);
  return run_ranks(place, ranks, start,
                   [&](const RankParts& rank) { return run_rank(options, job.recipe, rank); });
}

}  // namespace rw::launcher
