// Part of Ropewalk, MIT licence.
#include "launcher/commands/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizer.h"
#include "launcher/load_model.h"
#include "model/generate.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

std::unique_ptr<data::Tokenizer> tokenizer_of(const LoadedModel& model, const std::string& where) {
  if (model.tokenizer_json.empty()) return nullptr;
  return data::tokenizer_from_json(model.tokenizer_json, where);
}

std::vector<std::int32_t> prompt_ids(const GenerateOptions& options, const LoadedModel& model,
                                     const data::Tokenizer* tokenizer) {
  std::vector<std::int32_t> ids;
  if (options.has_prompt) {
    if (tokenizer == nullptr) {
      throw Error(ErrorKind::kUsage, fmt::format("generate: {} has no tokenizer.json; give "
                                                 "--prompt-ids instead of --prompt",
                                                 options.model));
    }
    ids = tokenizer->encode(options.prompt);
  } else {
    ids = parse_ids(options.prompt_ids, "--prompt-ids");
  }
  if (ids.empty()) {  // nothing to go on from: a fresh document
    if (model.options.bos_token_id) {
      ids.push_back(static_cast<std::int32_t>(*model.options.bos_token_id));
    } else if (!model.options.eos_token_ids.empty()) {
      ids.push_back(static_cast<std::int32_t>(model.options.eos_token_ids.front()));
    } else {
      throw Error(ErrorKind::kUsage, "generate: got an empty prompt, want at least one token");
    }
  }
  for (const auto id : ids) {
    if (id < 0 || id >= model.options.vocab_size) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("generate: got token {} in the prompt, want 0 to {}", id,
                              model.options.vocab_size - 1));
    }
  }
  return ids;
}

}  // namespace

int run_generate(const GenerateOptions& options) {
  if (!options.has_prompt && options.prompt_ids.empty()) {
    throw Error(ErrorKind::kUsage,
                "generate: got no prompt; give --prompt TEXT or --prompt-ids IDS");
  }
  const LoadedModel model = load_model(options.model, options.precision);
  const auto tokenizer = tokenizer_of(model, options.model + "/tokenizer.json");
  const auto prompt = prompt_ids(options, model, tokenizer.get());
  model::GenerateOptions how;
  how.max_new_tokens = options.max_new_tokens;
  how.sampling = {options.temperature, options.top_p, options.seed};
  if (!options.ignore_eos) how.stop_ids = model.options.eos_token_ids;
  const auto ids = model::generate(model.options, *model.params, prompt, how);

  auto shown = ids;  // the end of the text is not part of the text
  const auto& stops = how.stop_ids;
  if (!shown.empty() && std::find(stops.begin(), stops.end(), shown.back()) != stops.end()) {
    shown.pop_back();
  }
  const std::string text = tokenizer == nullptr ? "" : tokenizer->decode(shown);
  if (options.json) {
    core::Json out;
    out["token_ids"] = ids;
    out["text"] = text;
    std::cout << out.dump(-1, ' ', false, core::Json::error_handler_t::replace) << '\n';
  } else if (tokenizer != nullptr) {
    std::cout << options.prompt << text << '\n';
  } else {
    for (const auto id : ids) std::cout << id << ' ';
    std::cout << '\n';
  }
  return 0;
}

}  // namespace rw::launcher
