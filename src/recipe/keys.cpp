// Part of Ropewalk, MIT licence.
#include "recipe/keys.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

namespace rw::recipe {
namespace {

using Int = std::int64_t;
using Text = std::string;

constexpr double kMostCount = 1e15;

/// Keys of one section.
class Adder {
 public:
  Adder(std::vector<Key>& out, std::string section) : out_(out), section_(std::move(section)) {}
  Key& operator()(const char* name, AnySlot slot, const char* help) {
    Key key;
    key.section = section_;
    key.name = name;
    key.slot = std::move(slot);
    key.help = help;
    return out_.emplace_back(std::move(key));
  }

 private:
  std::vector<Key>& out_;
  std::string section_;
};

void add_plain(std::vector<Key>& out) {
  Adder add(out, "");
  add("run_name", Slot<Text>([](Recipe& r) -> Text& { return r.run_name; }),
      "name of the run, for people")
      .when_absent("the name of the recipe's file");
  add("output_dir", Slot<Text>([](Recipe& r) -> Text& { return r.output_dir; }),
      "folder of everything that the run writes")
      .naming_a_path();
  add("method", Slot<Text>([](Recipe& r) -> Text& { return r.method; }), "how it trains")
      .one_of({"pipeline"})
      .not_yet({"eggroll", "spsa"});
  add("seed", Slot<std::uint64_t>([](Recipe& r) -> std::uint64_t& { return r.seed; }),
      "seed of weights and data order")
      .within_range(0, 1.8e19);
  add("precision", Slot<Text>([](Recipe& r) -> Text& { return r.precision; }),
      "numbers of products and saved activations; master weights, sums, norms and softmax are f32")
      .one_of({"f32", "bf16"});
  add("device", Slot<Text>([](Recipe& r) -> Text& { return r.device; }), "where it computes")
      .one_of({"cpu", "cuda"});
}

void add_model(std::vector<Key>& out) {
  Adder add(out, "model");
  add("name", Slot<Text>([](Recipe& r) -> Text& { return r.model.name; }), "family")
      .one_of({"llama", "qwen3"});
  add("from", Slot<Text>([](Recipe& r) -> Text& { return r.model.from; }),
      "folder of a Hugging Face model to start from: its sizes and weights")
      .naming_a_path()
      .when_absent("random weights");
  add("hidden_size", Slot<Int>([](Recipe& r) -> Int& { return r.model.hidden_size; }), "width D")
      .within_range(1, 1048576)
      .when_absent("required without `from`");
  add("num_hidden_layers", Slot<Int>([](Recipe& r) -> Int& { return r.model.num_hidden_layers; }),
      "decoder layers")
      .within_range(1, 100000)
      .when_absent("required without `from`");
  add("num_attention_heads",
      Slot<Int>([](Recipe& r) -> Int& { return r.model.num_attention_heads; }), "query heads")
      .within_range(1, 65536)
      .when_absent("required without `from`");
  add("num_key_value_heads",
      Slot<Int>([](Recipe& r) -> Int& { return r.model.num_key_value_heads; }),
      "key and value heads; divides the query heads")
      .within_range(1, 65536)
      .when_absent("num_attention_heads");
  add("head_dim", Slot<Int>([](Recipe& r) -> Int& { return r.model.head_dim; }),
      "width of a head, even")
      .within_range(2, 65536)
      .when_absent("hidden_size / num_attention_heads (llama), 128 (qwen3)");
  add("intermediate_size", Slot<Int>([](Recipe& r) -> Int& { return r.model.intermediate_size; }),
      "width of the MLP")
      .within_range(1, 4194304)
      .when_absent("8/3 of hidden_size, rounded up to a multiple of 64");
  add("vocab_size", Slot<Int>([](Recipe& r) -> Int& { return r.model.vocab_size; }),
      "rows of the embedding; at least the tokenizer's")
      .within_range(2, 16777216)
      .when_absent("required without `from`");
}

void add_model_details(std::vector<Key>& out) {
  Adder add(out, "model");
  add("max_position_embeddings",
      Slot<Int>([](Recipe& r) -> Int& { return r.model.max_position_embeddings; }),
      "longest context, for config.json")
      .within_range(1, 1000000000)
      .when_absent("train.seq_len");
  add("rms_norm_eps", Slot<double>([](Recipe& r) -> double& { return r.model.rms_norm_eps; }),
      "epsilon of RMSNorm")
      .above_range(0, 1);
  add("tie_word_embeddings",
      Slot<bool>([](Recipe& r) -> bool& { return r.model.tie_word_embeddings; }),
      "the head uses the embedding's matrix");
  add("initializer_range",
      Slot<double>([](Recipe& r) -> double& { return r.model.initializer_range; }),
      "standard deviation of random weights")
      .within_range(0, 10);
  add("bos_token_id", Slot<std::optional<Int>>([](Recipe& r) -> std::optional<Int>& {
        return r.model.bos_token_id;
      }),
      "for config.json")
      .within_range(0, 16777216)
      .when_absent("none");
  add("eos_token_ids",
      Slot<std::vector<Int>>([](Recipe& r) -> std::vector<Int>& { return r.model.eos_token_ids; }),
      "ids that end a text")
      .within_range(0, 16777216)
      .when_absent("the corpus' end of text");
}

void add_model_rope_parameters(std::vector<Key>& out) {
  Adder add(out, "model.rope_parameters");
  add("rope_type", Slot<Text>([](Recipe& r) -> Text& { return r.model.rope_parameters.rope_type; }),
      "kind of RoPE")
      .one_of({"default", "linear", "llama3"})
      .not_yet({"yarn", "dynamic", "longrope"});
  add("rope_theta",
      Slot<double>([](Recipe& r) -> double& { return r.model.rope_parameters.rope_theta; }), "base")
      .above_range(0, 1e15);
  add("factor", Slot<double>([](Recipe& r) -> double& { return r.model.rope_parameters.factor; }),
      "linear, llama3: how many times longer")
      .within_range(1, 1e6);
  add("low_freq_factor",
      Slot<double>([](Recipe& r) -> double& { return r.model.rope_parameters.low_freq_factor; }),
      "llama3")
      .above_range(0, 1e6);
  add("high_freq_factor",
      Slot<double>([](Recipe& r) -> double& { return r.model.rope_parameters.high_freq_factor; }),
      "llama3")
      .above_range(0, 1e6);
  add("original_max_position_embeddings", Slot<Int>([](Recipe& r) -> Int& {
        return r.model.rope_parameters.original_max_position_embeddings;
      }),
      "llama3: context before scaling")
      .within_range(0, 1000000000);
}

void add_parallel(std::vector<Key>& out) {
  Adder add(out, "parallel");
  add("dp", Slot<Int>([](Recipe& r) -> Int& { return r.parallel.dp; }), "replicas")
      .within_range(1, 1000000);
  add("pp", Slot<Int>([](Recipe& r) -> Int& { return r.parallel.pp; }), "ranks in a pipeline")
      .within_range(1, 100000);
  add("zero", Slot<Int>([](Recipe& r) -> Int& { return r.parallel.zero; }),
      "1: the optimizer's state is sharded over the replicas of each stage (ZeRO-1); changes no "
      "bit")
      .within_range(0, 1);
  add("reduce_dtype", Slot<Text>([](Recipe& r) -> Text& { return r.parallel.reduce_dtype; }),
      "what gradients travel as between replicas; they are added in f32")
      .one_of({"f32", "bf16"});
}

/// Paths of micro-batches, and leaving the planned order.
void add_skipping(std::vector<Key>& out) {
  Adder add(out, "pipeline");
  add("skip_fraction", Slot<double>([](Recipe& r) -> double& { return r.pipeline.skip_fraction; }),
      "skippipe: share of the pp stages, the first one counted, that each micro-batch leaves out; "
      "a "
      "whole number of stages (0.33 of six is two)")
      .within_range(0, 0.999);
  add("max_swaps", Slot<Int>([](Recipe& r) -> Int& { return r.pipeline.max_swaps; }),
      "skippipe: steps back to an earlier stage that a path may have")
      .within_range(0, 1000);
  add("rotation", Slot<Int>([](Recipe& r) -> Int& { return r.pipeline.rotation; }),
      "skippipe: plans that take turns, step by step, so that every rank's rows train every stage; "
      "0: "
      "one plan for all steps")
      .within_range(0, 64);
  add("full_every", Slot<Int>([](Recipe& r) -> Int& { return r.pipeline.full_every; }),
      "skippipe: in every such step all stages are visited; 0: never")
      .within_range(0, 1e9);
  add("topology", Slot<Text>([](Recipe& r) -> Text& { return r.pipeline.topology; }),
      "skippipe: JSON file of ranks and links (docs/formats/topology.md) to plan for when training "
      "starts")
      .naming_a_path()
      .when_absent("none");
  add("problem", Slot<Text>([](Recipe& r) -> Text& { return r.pipeline.problem; }),
      "JSON file of the problem (nodes are ranks) that pipeline.solution solves")
      .naming_a_path()
      .when_absent("none");
  add("solution", Slot<Text>([](Recipe& r) -> Text& { return r.pipeline.solution; }),
      "skippipe: JSON file of a planner's arrangement, paths and starts")
      .naming_a_path()
      .when_absent("stages by rank, paths in turn");
  add("patience_ms", Slot<double>([](Recipe& r) -> double& { return r.pipeline.patience_ms; }),
      "how long a rank waits for its next planned operation before it takes another that is ready "
      "and safe; -1: for ever; changes no bit")
      .within_range(-1, 1e9)
      .when_absent("1 with skippipe, otherwise -1");
  add("replan_share", Slot<double>([](Recipe& r) -> double& { return r.pipeline.replan_share; }),
      "skippipe: when the measured time of some rank is off its predicted one by more than this "
      "share, a new plan is made in the background; 0: never; bits then depend on timing")
      .within_range(0, 1000);
}

/// Plans for other machines, tried on this one.
void add_emulation(std::vector<Key>& out) {
  Adder add(out, "pipeline");
  add("emulate", Slot<bool>([](Recipe& r) -> bool& { return r.pipeline.emulate; }),
      "to try plans for other machines on this one: every forward and backward lasts at least what "
      "pipeline.problem says of its rank; changes no bit");
  add("emulate_slow", Slot<std::vector<Int>>([](Recipe& r) -> std::vector<Int>& {
        return r.pipeline.emulate_slow;
      }),
      "with emulate: [rank, step, factor]; from that step on the rank's operations last so many "
      "times as long")
      .within_range(0, 1e6)
      .when_absent("no rank is slowed");
}

void add_pipeline(std::vector<Key>& out) {
  Adder add(out, "pipeline");
  add("schedule", Slot<Text>([](Recipe& r) -> Text& { return r.pipeline.schedule; }), "planner")
      .one_of({"gpipe", "1f1b", "interleaved", "zero_bubble", "skippipe"})
      .not_yet({"file"});
  add("chunks", Slot<Int>([](Recipe& r) -> Int& { return r.pipeline.chunks; }),
      "interleaved: stages per rank")
      .within_range(1, 1000);
  add("stage_split",
      Slot<std::vector<Int>>([](Recipe& r) -> std::vector<Int>& { return r.pipeline.stage_split; }),
      "layers of each stage, first to last")
      .within_range(1, 100000)
      .when_absent("even, earlier stages take the rest");
  add("bucket_bytes", Slot<Int>([](Recipe& r) -> Int& { return r.pipeline.bucket_bytes; }),
      "gradients travel in messages of at most this size; changes no bit")
      .within_range(4, 17179869184)
      .when_absent("chosen at start from the measured link between replicas");
  add_skipping(out);
  add_emulation(out);
}

void add_train(std::vector<Key>& out) {
  Adder add(out, "train");
  add("seq_len", Slot<Int>([](Recipe& r) -> Int& { return r.train.seq_len; }),
      "tokens predicted per row")
      .within_range(1, 16777216);
  add("micro_batch_size", Slot<Int>([](Recipe& r) -> Int& { return r.train.micro_batch_size; }),
      "rows that go through the pipeline together")
      .within_range(1, 1048576);
  add("global_batch_size", Slot<Int>([](Recipe& r) -> Int& { return r.train.global_batch_size; }),
      "rows per step, all replicas together")
      .within_range(1, 1073741824);
  add("max_steps", Slot<Int>([](Recipe& r) -> Int& { return r.train.max_steps; }), "last step")
      .within_range(1, 1e12)
      .counting(Unit::kSteps)
      .when_absent("required without max_tokens");
  add("max_tokens", Slot<Int>([](Recipe& r) -> Int& { return r.train.max_tokens; }),
      "gives max_steps when that is absent")
      .within_range(1, kMostCount)
      .counting(Unit::kTokens)
      .when_absent("no limit");
  add("clip_grad_norm", Slot<double>([](Recipe& r) -> double& { return r.train.clip_grad_norm; }),
      "largest global gradient norm; 0: no clipping")
      .within_range(0, 1e9);
  add("recompute", Slot<Text>([](Recipe& r) -> Text& { return r.train.recompute; }),
      "what the backward pass makes again to save memory: nothing, element-wise outputs, all but "
      "a block's input")
      .one_of({"none", "selective", "full"});
  add("recompute_full_layers",
      Slot<Int>([](Recipe& r) -> Int& { return r.train.recompute_full_layers; }),
      "first blocks of every stage of which all is made again, whatever recompute says of the rest")
      .within_range(0, 1e6);
}

void add_optimizer(std::vector<Key>& out) {
  Adder add(out, "optimizer");
  add("name", Slot<Text>([](Recipe& r) -> Text& { return r.optimizer.name; }), "optimizer")
      .one_of({"adamw"})
      .not_yet({"muon", "sgd"});
  add("lr", Slot<double>([](Recipe& r) -> double& { return r.optimizer.lr; }),
      "learning rate after warm-up")
      .within_range(0, 1e300);
  add("betas", RealsSlot([](Recipe& r) {
        return std::vector<double*>{&r.optimizer.beta1, &r.optimizer.beta2};
      }),
      "[decay of the first moment, decay of the second moment]")
      .within_range(0, 0.9999999);
  add("eps", Slot<double>([](Recipe& r) -> double& { return r.optimizer.eps; }),
      "added to the root")
      .within_range(0, 1);
  add("weight_decay", Slot<double>([](Recipe& r) -> double& { return r.optimizer.weight_decay; }),
      "decoupled; tensors with two or more dimensions only")
      .within_range(0, 1e3);
}

void add_lr_scheduler(std::vector<Key>& out) {
  Adder add(out, "lr_scheduler");
  add("name", Slot<Text>([](Recipe& r) -> Text& { return r.lr_scheduler.name; }),
      "course of the learning rate after warm-up")
      .one_of({"constant", "linear", "cosine"});
  add("warmup_steps", Slot<Int>([](Recipe& r) -> Int& { return r.lr_scheduler.warmup_steps; }),
      "lr · min(1, step / warmup_steps)")
      .within_range(0, 1e12)
      .counting(Unit::kSteps);
  add("min_lr", Slot<double>([](Recipe& r) -> double& { return r.lr_scheduler.min_lr; }),
      "at max_steps; linear, cosine")
      .within_range(0, 1e3);
}

void add_data(std::vector<Key>& out) {
  Adder add(out, "data");
  add("sources", Slot<std::vector<data::Source>>([](Recipe& r) -> std::vector<data::Source>& {
        return r.data.sources;
      }),
      "corpora: a list of {path, weight}");
  add("order", Slot<Text>([](Recipe& r) -> Text& { return r.data.order; }),
      "how sources mix: shuffled, or evenly spread")
      .one_of({"random", "spread"});
  add("loader_threads", Slot<Int>([](Recipe& r) -> Int& { return r.data.loader_threads; }),
      "threads that read batches")
      .within_range(1, 256)
      .each_rank_its_own();
  add("prefetch_steps", Slot<Int>([](Recipe& r) -> Int& { return r.data.prefetch_steps; }),
      "steps read ahead")
      .within_range(1, 4096)
      .each_rank_its_own();
  add("validation", Slot<std::vector<data::Source>>([](Recipe& r) -> std::vector<data::Source>& {
        return r.data.validation;
      }),
      "corpora for the loss inside the loop: a list of {path}")
      .when_absent("none");
  add("validation_interval",
      Slot<Int>([](Recipe& r) -> Int& { return r.data.validation_interval; }),
      "steps between validations; one more at the end; 0: only that")
      .within_range(0, 1e12)
      .counting(Unit::kSteps);
  add("validation_rows", Slot<Int>([](Recipe& r) -> Int& { return r.data.validation_rows; }),
      "rows of each validation corpus")
      .within_range(1, 1000000000);
}

void add_checkpoint(std::vector<Key>& out) {
  Adder add(out, "checkpoint");
  add("interval", Slot<Int>([](Recipe& r) -> Int& { return r.checkpoint.interval; }),
      "steps between checkpoints; 0: only at the end and on request")
      .within_range(0, 1e12)
      .counting(Unit::kSteps);
  add("keep_latest_k", Slot<Int>([](Recipe& r) -> Int& { return r.checkpoint.keep_latest_k; }),
      "newest ones that stay")
      .within_range(1, 1000000);
  add("keep_every", Slot<Int>([](Recipe& r) -> Int& { return r.checkpoint.keep_every; }),
      "those at multiples of it stay for ever; 0: none")
      .within_range(0, 1e12)
      .counting(Unit::kSteps);
}

void add_log(std::vector<Key>& out) {
  Adder add(out, "log");
  add("interval", Slot<Int>([](Recipe& r) -> Int& { return r.log.interval; }),
      "steps between lines")
      .within_range(1, 1e12)
      .counting(Unit::kSteps);
  add("tensorboard", Slot<bool>([](Recipe& r) -> bool& { return r.log.tensorboard; }),
      "write TensorBoard events");
  add("trace", Slot<bool>([](Recipe& r) -> bool& { return r.log.trace; }),
      "write a Perfetto trace per rank");
  add("timeline_interval", Slot<Int>([](Recipe& r) -> Int& { return r.log.timeline_interval; }),
      "steps between two records of what every rank did when, in plan/timeline.jsonl (and step 2); "
      "0: none")
      .within_range(0, 1e12)
      .counting(Unit::kSteps);
}

void add_watchdog(std::vector<Key>& out) {
  Adder add(out, "watchdog");
  add("init_s", Slot<double>([](Recipe& r) -> double& { return r.watchdog.init_s; }),
      "longest start, in seconds")
      .above_range(0, 1e6)
      .counting(Unit::kSeconds);
  add("step_s", Slot<double>([](Recipe& r) -> double& { return r.watchdog.step_s; }),
      "longest silence of a rank, in seconds")
      .above_range(0, 1e6)
      .counting(Unit::kSeconds);
}

std::vector<Key> make_keys() {
  std::vector<Key> out;
  add_plain(out);
  add_model(out);
  add_model_details(out);
  add_model_rope_parameters(out);
  add_parallel(out);
  add_pipeline(out);
  add_train(out);
  add_optimizer(out);
  add_lr_scheduler(out);
  add_data(out);
  add_checkpoint(out);
  add_log(out);
  add_watchdog(out);
  return out;
}

}  // namespace

Key& Key::within_range(double from, double to) {
  least = from;
  most = to;
  return *this;
}
Key& Key::above_range(double from, double to) {
  above = true;
  return within_range(from, to);
}
Key& Key::counting(Unit what) {
  unit = what;
  return *this;
}
Key& Key::naming_a_path() {
  is_path = true;
  return *this;
}
Key& Key::one_of(std::vector<std::string> texts) {
  choices = std::move(texts);
  return *this;
}
Key& Key::not_yet(std::vector<std::string> texts) {
  later = std::move(texts);
  return *this;
}
Key& Key::each_rank_its_own() {
  per_rank = true;
  return *this;
}
Key& Key::when_absent(std::string meaning) {
  absent = std::move(meaning);
  return *this;
}

const std::vector<Key>& keys() {
  static const std::vector<Key> kKeys = make_keys();
  return kKeys;
}

const Key* find_key(const std::string& path) {
  static const auto kByPath = [] {
    std::unordered_map<std::string, const Key*> out;
    for (const Key& key : keys()) out.emplace(key.path(), &key);
    return out;
  }();
  const auto found = kByPath.find(path);
  return found == kByPath.end() ? nullptr : found->second;
}

const std::vector<Section>& sections() {
  static const std::vector<Section> kSections{
      {"", "Plain values"},
      {"model", "The model; names are those of Hugging Face's config.json"},
      {"model.rope_parameters", "Rotary position embeddings, Hugging Face's own keys"},
      {"parallel", "How many ranks: dp · pp"},
      {"pipeline", "How micro-batches go through the stages"},
      {"train", "Batches and length"},
      {"optimizer", "AdamW, as PyTorch's"},
      {"lr_scheduler", "Learning rate"},
      {"data", "What it learns from"},
      {"checkpoint", "When checkpoints are committed and which stay"},
      {"log", "What is written on the way"},
      {"watchdog", "When a silent rank ends the job"}};
  return kSections;
}

const std::vector<std::string>& later_keys() {
  static const std::vector<std::string> kLater{
      "eggroll", "spsa", "boom", "pipeline.head", "checkpoint.levels", "checkpoint.mode"};
  return kLater;
}

const std::vector<std::string>& required_keys() {
  static const std::vector<std::string> kRequired{"method",        "output_dir",  "model",
                                                  "train",         "optimizer",   "data",
                                                  "train.seq_len", "data.sources"};
  return kRequired;
}

}  // namespace rw::recipe
