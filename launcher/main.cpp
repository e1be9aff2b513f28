// Part of Ropewalk, MIT licence.
// The commands; each is a file of its own in launcher/commands/. What is typed ends in a plain struct.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "core/build.h"
#include "core/error.h"
#include "core/log.h"
#include "core/nearest.h"
#include "kernels/register.h"
#include "launcher/commands/bench_train.h"
#include "launcher/commands/check.h"
#include "launcher/commands/ckpt.h"
#include "launcher/commands/data_build.h"
#include "launcher/commands/data_decode.h"
#include "launcher/commands/data_encode.h"
#include "launcher/commands/data_inspect.h"
#include "launcher/commands/data_order.h"
#include "launcher/commands/data_train_tokenizer.h"
#include "launcher/commands/eval.h"
#include "launcher/commands/generate.h"
#include "launcher/commands/plan.h"
#include "launcher/commands/report.h"
#include "launcher/commands/schema.h"
#include "launcher/commands/train.h"
#include "launcher/failure.h"
#include "launcher/first_moment.h"
#include "launcher/leave.h"
#include "launcher/path_arguments.h"
#include "launcher/ranks.h"
#include "launcher/results.h"
#include "launcher/thread_limits.h"
#include "launcher/waiting_policy.h"

namespace rw::launcher {
namespace {

/// What will run once the command line is understood.
using Action = std::function<int()>;

/// A command that computes without ranks.
template <class Options>
int alone(int (*command)(const Options&), const Options& options) {
  try_own_threads();
  return command(options);
}

constexpr std::uint64_t kMostCounted = 1'000'000'000'000'000;  // of tokens, schedules, …
constexpr std::uint64_t kMostSteps = 1'000'000'000;
constexpr std::uint64_t kMostSamples = 1'000'000;
constexpr std::array kLater{"merge", "boom", "spsa", "launch", "top", "doctor"};

/// Words `key=value` and --set k=v both override keys of the recipe; the last one typed holds.
void add_recipe(CLI::App& command, std::string& recipe, std::vector<std::string>& overrides) {
  command.add_option("recipe", recipe, "recipe in YAML")->required();
  const auto* words = command.add_option("overrides", "key.sub=value, any number")
                          ->type_name("TEXT")
                          ->expected(CLI::detail::expected_max_vector_size);
  const auto* set = command.add_option("--set", "the same: --set key.sub=value")
                        ->type_name("TEXT")
                        ->expected(1)
                        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.parse_complete_callback([&command, words, set, &overrides] {
    std::map<const CLI::Option*, std::size_t> taken;
    for (const CLI::Option* option : command.parse_order()) {
      if (option == words || option == set) {
        overrides.push_back(option->results().at(taken[option]++));
      }
    }
  });
}

/// A number that is `good`; otherwise says what was got, and what is wanted.
CLI::Validator number(const char* wanted, bool (*good)(double)) {
  const auto problem = [=](const std::string& text) {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && good(value)) return std::string();
    return fmt::format("got {}, want {}", text, wanted);
  };
  return {problem, wanted};
}
/// A whole number in decimal digits, from `least` to `most`.
CLI::Validator whole(std::uint64_t least, std::uint64_t most) {
  const std::string range = fmt::format("{} to {}", least, most);
  const auto problem = [=](const std::string& text) {
    std::uint64_t value = 0;
    const char* const stop = text.data() + text.size();
    const auto [end, code] = std::from_chars(text.data(), stop, value);
    const bool good = code == std::errc() && end == stop && value >= least && value <= most;
    return good ? std::string() : fmt::format("got {}, want a whole number from {}", text, range);
  };
  return {problem, range};
}
CLI::Validator some() { return whole(1, kMostCounted); }
CLI::Validator seed() { return whole(0, std::numeric_limits<std::uint64_t>::max()); }
CLI::Validator not_empty(const char* wanted) {
  const auto problem = [=](const std::string& text) {
    return text.empty() ? fmt::format("got an empty text, want {}", wanted) : std::string();
  };
  return {problem, ""};
}

void add_train(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("train", "train by a recipe");
  const auto options = std::make_shared<TrainOptions>();  // shared by the parser and the action
  add_recipe(*command, options->recipe, options->overrides);
  command->add_option("--resume", options->resume, "never, auto, a step, or a checkpoint's folder");
  command->add_flag("--overwrite", options->overwrite,
                    "move an old run in output_dir aside, but for this command's recipe and plan");
  command->callback([options, &action] { action = [options] { return run_train(*options); }; });
}

void add_check(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("check", "validate a recipe; print it resolved; run nothing");
  const auto options = std::make_shared<CheckOptions>();
  add_recipe(*command, options->recipe, options->overrides);
  command->add_flag("--json", options->json, "only JSON on stdout");
  command->callback([options, &action] { action = [options] { return run_check(*options); }; });
}

void add_bench(CLI::App& app, Action& action) {
  auto* bench = app.add_subcommand("bench", "where the time goes");
  bench->require_subcommand(1);
  auto* command = bench->add_subcommand("train", "the parts of a step, and what limits each");
  const auto options = std::make_shared<BenchTrainOptions>();
  add_recipe(*command, options->recipe, options->overrides);
  command->add_option("--steps", options->steps, "steps to measure")->check(whole(1, kMostSteps));
  command->add_flag("--random-data", options->random_data, "random tokens instead of the corpora");
  command->add_flag("--serve", options->serve, "obey lines of JSON on stdin");
  command->add_flag("--json", options->json, "only JSON on stdout");
  command->callback(
      [options, &action] { action = [options] { return run_bench_train(*options); }; });
}

void add_report(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "report", "a run as one HTML page, or several with their plans side by side");
  const auto options = std::make_shared<ReportOptions>();
  command->add_option("run", options->runs, "output_dir of a training; several: side by side")
      ->required();
  command->add_option("--out", options->out,
                      "the page; default RUN/report.html, of several FIRST_RUN/side_by_side.html");
  command->add_flag("--json", options->json, "only JSON on stdout");
  command->callback([options, &action] { action = [options] { return run_report(*options); }; });
}

void add_schema(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("schema", "the JSON Schema of recipes");
  const auto options = std::make_shared<SchemaOptions>();
  command->add_flag("--markdown", options->markdown, "docs/recipe.md instead");
  command->callback([options, &action] { action = [options] { return run_schema(*options); }; });
}

void add_data_build(CLI::App& data, Action& action) {
  auto* command = data.add_subcommand("build", "text or JSONL -> a corpus file");
  const auto options = std::make_shared<DataBuildOptions>();
  command->add_option("--tokenizer", options->tokenizer, "bytes, or a tokenizer.json")->required();
  command->add_option("--out", options->out, "the corpus, *.h5")->required();
  command->add_option("--jsonl-field", options->jsonl_field, "field of .jsonl lines");
  command->add_option("--end-token", options->end_token, "token that ends a document");
  command->add_option("--invalid", options->invalid, "invalid UTF-8: error or replace")
      ->check(CLI::IsMember({"error", "replace"}));
  command->add_option("--on-bad-line", options->on_bad_line, "bad line of JSONL: stop or skip")
      ->check(CLI::IsMember({"stop", "skip"}));
  command->add_flag("--raw", options->raw, "any bytes are meant: refuse no format");
  command
      ->add_option("--validation-share", options->validation_share,
                   "share of documents set aside, 0 <= x < 1")
      ->check(number("0 <= x < 1", [](double x) { return x >= 0 && x < 1; }));
  command->add_flag("--deduplicate", options->deduplicate, "drop documents seen before");
  command->add_flag("--json", options->json, "only JSON on stdout");
  command->add_option("files", options->files, "files or folders")->required();
  command->callback(
      [options, &action] { action = [options] { return run_data_build(*options); }; });
}

void add_data_readers(CLI::App& data, Action& action) {
  auto* inspect = data.add_subcommand("inspect", "what is in a corpus");
  const auto inspect_options = std::make_shared<DataInspectOptions>();
  inspect->add_option("corpus", inspect_options->path, "a corpus, *.h5")->required();
  inspect->add_flag("--json", inspect_options->json, "only JSON on stdout");
  inspect->callback([inspect_options, &action] {
    action = [inspect_options] { return run_data_inspect(*inspect_options); };
  });

  auto* order = data.add_subcommand("order", "the exact order in which samples will come");
  const auto order_options = std::make_shared<DataOrderOptions>();
  add_recipe(*order, order_options->recipe, order_options->overrides);
  order->add_option("--steps", order_options->steps, "A..B, inclusive, from 1")->required();
  order->add_flag("--tokens", order_options->tokens, "print the token ids too");
  order->add_flag("--json", order_options->json, "only JSON lines on stdout");
  order->callback([order_options, &action] {
    action = [order_options] { return run_data_order(*order_options); };
  });
}

void add_data_tokenizers(CLI::App& data, Action& action) {
  auto* encode = data.add_subcommand("encode", "text -> token ids");
  const auto encode_options = std::make_shared<DataEncodeOptions>();
  encode->add_option("--tokenizer", encode_options->tokenizer, "bytes, or a tokenizer.json")
      ->required();
  encode->add_flag("--raw", encode_options->raw, "any bytes are meant: refuse no format");
  encode->add_flag("--json", encode_options->json, "a JSON list");
  encode->add_option("file", encode_options->file, "text")->required();
  encode->callback([encode_options, &action] {
    action = [encode_options] { return run_data_encode(*encode_options); };
  });

  auto* decode = data.add_subcommand("decode", "token ids -> text");
  const auto decode_options = std::make_shared<DataDecodeOptions>();
  decode->add_option("--tokenizer", decode_options->tokenizer, "bytes, or a tokenizer.json")
      ->required();
  decode->add_option("ids_file", decode_options->ids_file, "decimal ids")->required();
  decode->callback([decode_options, &action] {
    action = [decode_options] { return run_data_decode(*decode_options); };
  });

  auto* train = data.add_subcommand("train-tokenizer", "byte-level BPE from text");
  const auto train_options = std::make_shared<DataTrainTokenizerOptions>();
  train->add_option("--vocab-size", train_options->vocab_size, "entries, special ones included")
      ->required();
  train->add_option("--out", train_options->out, "the tokenizer.json to write")->required();
  train->add_flag("--raw", train_options->raw, "any UTF-8 is meant: refuse no format");
  train->add_option("files", train_options->files, "files or folders")->required();
  train->callback([train_options, &action] {
    action = [train_options] { return run_data_train_tokenizer(*train_options); };
  });
}

void add_data(CLI::App& app, Action& action) {
  auto* data = app.add_subcommand("data", "text -> corpora; what is in them; their order");
  data->require_subcommand(1);
  add_data_build(*data, action);
  add_data_readers(*data, action);
  add_data_tokenizers(*data, action);
}

void add_strip_prefix(CLI::App& command, std::string& prefix) {
  command
      .add_option("--strip-prefix", prefix,
                  "taken off the names of the weights, as _orig_mod. of torch.compile")
      ->check(not_empty("what the names begin with, as _orig_mod."));
}

void add_eval(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("eval", "loss, perplexity and bits per byte of a model");
  const auto options = std::make_shared<EvalOptions>();
  command->add_option("--model", options->model, "Hugging Face folder, or a checkpoint")
      ->required();
  auto* text = command->add_option("--text", options->text, "a file of text");
  auto* ids = command->add_option("--token-ids", options->token_ids, "a file of decimal ids");
  text->excludes(ids);
  command->add_option("--seq-len", options->seq_len, "tokens predicted per window")->check(some());
  command->add_option("--precision", options->precision,
                      "of products and activations: f32 or bf16");
  command
      ->add_option("--stages", options->stages,
                   "cut the layers into so many stages, as training does (default: one layer each)")
      ->check(some());
  command
      ->add_option("--keep-stages", options->keep_stages,
                   "leave out all others: 0,2,3, or random:K[:SEED], K of them, drawn anew for "
                   "each window; stage 0 always stays")
      ->check(not_empty("stages such as 0,2,3, or random:K[:SEED]"));
  add_strip_prefix(*command, options->strip_prefix);
  command->add_flag("--json", options->json, "only JSON on stdout");
  command->callback(
      [options, &action] { action = [options] { return alone(run_eval, *options); }; });
}

void add_generate(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("generate", "text from a prompt");
  const auto options = std::make_shared<GenerateOptions>();
  command->add_option("--model", options->model, "Hugging Face folder, or a checkpoint")
      ->required();
  auto* prompt = command->add_option("--prompt", options->prompts, "text to go on from; repeatable")
                     ->allow_extra_args(false);
  auto* ids =
      command
          ->add_option("--prompt-ids", options->prompt_ids, "\"1 2 3\" instead of text; repeatable")
          ->allow_extra_args(false);
  auto* file = command->add_option("--prompts", options->prompts_file,
                                   "JSON lines: {\"prompt\": text} or {\"prompt_ids\": [1, 2]}");
  prompt->excludes(ids)->excludes(file);
  ids->excludes(file);
  command->add_option("--batch-size", options->batch_size, "prompts decoded at once (16)")
      ->check(some());
  command->add_option("--max-new-tokens", options->max_new_tokens)->check(whole(0, kMostCounted));
  command->add_option("--temperature", options->temperature, "0: greedy")
      ->check(number("0 to 1e6", [](double x) { return x >= 0 && x <= 1e6; }));
  command->add_option("--top-p", options->top_p, "nucleus, 0 < p <= 1")
      ->check(number("0 < p <= 1", [](double x) { return x > 0 && x <= 1; }));
  command->add_option("--seed", options->seed)->check(seed());
  command->add_flag("--ignore-eos", options->ignore_eos, "go on after an end-of-text token");
  command->add_option("--precision", options->precision, "of the weights: f32 or bf16");
  command
      ->add_option("--samples", options->samples,
                   "of each prompt, each with random numbers of its own (1)")
      ->check(whole(1, kMostSamples));
  add_strip_prefix(*command, options->strip_prefix);
  command->add_flag("--json", options->json, "only JSON on stdout, a line per sample");
  command->callback(
      [options, &action] { action = [options] { return alone(run_generate, *options); }; });
}

void add_plan(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("plan", "placement, paths and order of micro-batches");
  const auto options = std::make_shared<PlanCommandOptions>();
  add_recipe(*command, options->recipe, options->overrides);
  command->get_option("recipe")->required(false);
  command->add_flag("--profile", options->profile, "measure the ranks and the links between them");
  command->add_option(
      "--topology", options->topology,
      "the ranks and links, docs/formats/topology.md; default output_dir/plan/topology.json");
  command->add_option("--problem", options->problem, "a problem, docs/formats/problem.md");
  command->add_option("--out", options->out, "where the solution goes");
  command->add_option("--track", options->track, "free, or strict (SkipPipe's own structure)")
      ->check(CLI::IsMember({"free", "strict"}));
  command->add_option("--start", options->start, "a former solution: re-plan on its arrangement");
  command->add_option("--time-limit-s", options->time_limit_s, "wall time (10)")
      ->check(number("seconds above 0, at most 31536000 (a year)",
                     [](double x) { return x > 0 && x <= 31'536'000; }));
  command->add_option("--evaluations", options->evaluations, "stop after so many schedules")
      ->check(some());
  command->add_option("--seed", options->seed)->check(seed());
  command->add_option("--threads", options->threads, "independent searches; the best one wins")
      ->check(whole(1, 256));
  command->add_flag("--json", options->json, "the solution, and only it, on stdout");
  command->callback([options, &action] { action = [options] { return run_plan(*options); }; });
}

void add_ckpt(CLI::App& app, Action& action) {
  auto* ckpt = app.add_subcommand("ckpt", "checkpoints as files");
  ckpt->require_subcommand(1);
  const auto options = std::make_shared<CkptOptions>();
  const auto add = [&](const char* verb, const char* help) {
    auto* command = ckpt->add_subcommand(verb, help);
    command->add_option("path", options->path, "output_dir, or one checkpoint")->required();
    command->add_flag("--json", options->json, "only JSON on stdout");
    command->callback([options, verb, &action] {
      options->verb = verb;
      action = [options] { return run_ckpt(*options); };
    });
    return command;
  };
  add("ls", "the checkpoints of a run");
  add("verify", "read every byte, check every CRC");
  add("diff", "two checkpoints, tensor by tensor")
      ->add_option("other", options->other, "the other one")
      ->required();
  add("gc", "remove what dead jobs left");
  add("export", "to a Hugging Face folder")->add_option("--out", options->out)->required();
  add("import", "a Hugging Face folder to a checkpoint")
      ->add_option("--out", options->out)
      ->required();
}

/// Commands of later versions: refused by name, with nothing behind them.
void add_later(CLI::App& app, Action& action) {
  for (const char* name : kLater) {
    auto* command = app.add_subcommand(name, "not in this version");
    command->allow_extras();
    command->prefix_command();
    command->callback([name, &action] {
      action = [name]() -> int {
        throw core::Error(core::ErrorKind::kUsage,
                          std::string("the command ") + name + " is not in this version");
      };
    });
  }
}

/// A first word that is no command is answered with the nearest one (CLI11 would not name it).
void refuse_unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string word = argv[1];
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  const std::string near = core::nearest(word, names);
  throw core::Error(core::ErrorKind::kUsage,
                    fmt::format("got the command '{}', want one of {}{}", word,
                                fmt::join(names, ", "), near.empty() ? "" : "; try " + near));
}

/// "; did you mean --resume?" for an option that the command does not have; "" otherwise.
std::string advice(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::Option* option : command->get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const std::string& word : command->remaining()) {
    if (word.rfind("--", 0) != 0) continue;
    const std::string near = core::nearest(word.substr(0, word.find('=')), names);
    if (!near.empty()) return fmt::format("; did you mean {}?", near);
  }
  return "";
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("ropewalk: trains language models on clusters whose machines and networks differ");
  app.set_version_flag("--version", std::string("ropewalk ") + core::kVersion);
  app.require_subcommand(1);
  Action action;
  add_train(app, action);
  add_check(app, action);
  add_bench(app, action);
  add_schema(app, action);
  add_data(app, action);
  add_eval(app, action);
  add_generate(app, action);
  add_report(app, action);
  add_plan(app, action);
  add_ckpt(app, action);
  add_later(app, action);
  take_typed_paths(app);
  refuse_unknown_command(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);
    std::ostringstream text;
    app.exit(error, text, text);
    std::string message = text.str();
    message.erase(message.find_last_not_of('\n') + 1);
    message.insert(std::min(message.find('\n'), message.size()), advice(app));
    throw core::Error(core::ErrorKind::kUsage, message);
  }
  kernels::register_cpu();
  return action();
}

int run(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    const Failure failure = failure_of(error);
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    return leave(arguments, failure.exit_code, "ropewalk: " + failure.message);
  }
}

}  // namespace
}  // namespace rw::launcher

int main(int argc, char** argv) {
  rw::launcher::stand_ready(argv);
  rw::launcher::set_waiting_policy(argv);
  rw::launcher::answer_exits_of_libraries();
  rw::launcher::Results results;
  const int code = results.finish(rw::launcher::run(argc, argv));
  rw::launcher::exits_are_ours();
  return code;
}
