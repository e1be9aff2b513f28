// Part of Ropewalk, MIT licence.
#include "launcher/commands/eval.h"

#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <numbers>

#include "core/error.h"
#include "core/json.h"
#include "data/text_source.h"
#include "data/tokenizer.h"
#include "launcher/kept_stages.h"
#include "launcher/load_model.h"
#include "model/evaluate.h"

namespace rw::launcher {

using core::Error;
using core::ErrorKind;

namespace {

std::vector<std::int32_t> encode(const std::string& text, const LoadedModel& model,
                                 const EvalOptions& options) {
  if (model.tokenizer_json.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("eval: {} has no tokenizer.json; give --token-ids instead of --text",
                            options.model));
  }
  return data::tokenizer_from_json(model.tokenizer_json, options.model + "/tokenizer.json")
      ->encode(text);
}

}  // namespace

int run_eval(const EvalOptions& options) {
  if (options.text.empty() == options.token_ids.empty()) {
    throw Error(ErrorKind::kUsage, "eval: give one of --text FILE and --token-ids FILE");
  }
  if (options.stages > 0 && options.keep_stages.empty()) {
    throw Error(ErrorKind::kUsage, "eval: --stages cuts layers for --keep-stages; give both");
  }
  const bool has_text = !options.text.empty();
  data::TextRules rules;
  rules.any_bytes = true;  // the tokenizer says what it takes
  rules.raw = !has_text;   // ids, whatever the file is named
  const std::string content =
      data::read_text_file(has_text ? options.text : options.token_ids, rules);
  const core::DType precision = parse_precision(options.precision);
  const LoadedModel model = load_model(
      options.model, has_text ? WithTokenizer::kYes : WithTokenizer::kNo, options.strip_prefix);
  if (precision == core::DType::kBF16) {
    core::Stream stream;
    model.params->compute_in_bf16();
    model.params->hold_copies(stream);
  }
  const std::vector<std::int32_t> ids =
      has_text ? encode(content, model, options) : parse_ids(content, options.token_ids);
  const KeptStages kept =
      parse_kept_stages(options.keep_stages, options.stages, model.options.num_hidden_layers);
  const auto result =
      model::evaluate(model.options, model.params, ids, options.seq_len, kept.choices, kept.choose);
  const double loss = result.loss_sum / static_cast<double>(result.predicted_tokens);
  if (!std::isfinite(loss)) {
    throw Error(ErrorKind::kNonFinite,
                fmt::format("eval: {}: got loss {}, want a finite number; do the weights hold NaN "
                            "or infinity?",
                            options.model, loss));
  }
  core::Json out;
  out["loss"] = loss;
  out["predicted_tokens"] = result.predicted_tokens;
  out["perplexity"] = std::exp(loss);
  if (has_text) {
    out["bits_per_byte"] =
        result.loss_sum / std::numbers::ln2 / static_cast<double>(content.size());
  }
  if (!options.keep_stages.empty()) {
    out["stages"] = kept.stages;
    out["keep_stages"] = options.keep_stages;
    out["layers_kept_mean"] = kept.layers_mean;
  }
  if (options.json) {
    std::cout << out.dump() << '\n';
    return 0;
  }
  for (const auto& [key, value] : out.items()) std::cout << key << ' ' << value.dump() << '\n';
  return 0;
}

}  // namespace rw::launcher
