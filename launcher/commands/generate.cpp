// Part of Ropewalk, MIT licence.
#include "launcher/commands/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizer.h"
#include "launcher/load_model.h"
#include "model/generate.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;
using Ids = std::vector<std::int32_t>;

/// A prompt as it was given: text, or ids.
struct Prompt {
  bool has_text = false;
  std::string text;
  Ids ids;
};

Prompt of_text(std::string text) { return {true, std::move(text), {}}; }

/// {"prompt": text} or {"prompt_ids": [1, 2]}
Prompt of_json(const std::string& line, const std::string& where) {
  const auto refuse = [&](const std::string& got) {
    return Error(ErrorKind::kDataMalformed,
                 fmt::format("{}: got {}, want {{\"prompt\": text}} or {{\"prompt_ids\": [1, 2]}}",
                             where, got));
  };
  const core::Json json = core::Json::parse(line, nullptr, false);
  if (json.is_discarded()) throw refuse("no JSON");
  if (!json.is_object() || json.size() != 1) throw refuse("no object with one of these keys alone");
  const std::string key = json.begin().key();
  const core::Json& value = *json.begin();
  if (key == "prompt" && value.is_string()) return of_text(value.get<std::string>());
  if (key != "prompt_ids" || !value.is_array()) throw refuse("'" + key + "' of another kind");
  Prompt out;
  for (const core::Json& id : value) {
    if (!id.is_number_integer()) throw refuse("an id that is no whole number");
    const auto number = id.get<std::int64_t>();
    if (!std::in_range<std::int32_t>(number)) throw refuse(fmt::format("id {}", number));
    out.ids.push_back(static_cast<std::int32_t>(number));
  }
  return out;
}

std::vector<Prompt> from_file(const std::string& path) {
  const auto store = store::make_posix();
  const std::string content = store::read_whole(*store, path);
  std::vector<Prompt> out;
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string text = content.substr(begin, end - begin);
    ++line;
    if (text.find_first_not_of(" \t\r") != std::string::npos) {
      out.push_back(of_json(text, fmt::format("{}:{}", path, line)));
    }
    begin = end + 1;
  }
  if (out.empty()) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: got no prompts, want at least one", path));
  }
  return out;
}

std::vector<Prompt> prompts_of(const GenerateOptions& options) {
  if (!options.prompts_file.empty()) return from_file(options.prompts_file);
  std::vector<Prompt> out;
  for (const auto& text : options.prompts) out.push_back(of_text(text));
  for (const auto& ids : options.prompt_ids)
    out.push_back({false, "", parse_ids(ids, "--prompt-ids")});
  if (out.empty()) {
    throw Error(ErrorKind::kUsage,
                "generate: got no prompt; give --prompt TEXT, --prompt-ids IDS or --prompts FILE");
  }
  return out;
}

/// The ids that the model is given.
Ids ids_of(const Prompt& prompt, const LoadedModel& model, const data::Tokenizer* tokenizer,
           const std::string& folder) {
  if (prompt.has_text && tokenizer == nullptr) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("generate: {} has no tokenizer.json; give ids instead of text", folder));
  }
  Ids ids = prompt.has_text ? tokenizer->encode(prompt.text) : prompt.ids;
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

void print_json(const Ids& ids, const std::string& text) {
  core::Json out;
  out["token_ids"] = ids;
  out["text"] = text;
  std::cout << out.dump(-1, ' ', false, core::Json::error_handler_t::replace) << '\n';
}

void print_ids(const Ids& ids) {
  for (const auto id : ids) std::cout << id << ' ';
  std::cout << '\n';
}

}  // namespace

int run_generate(const GenerateOptions& options) {
  const core::DType weights = parse_precision(options.precision);
  const std::vector<Prompt> prompts = prompts_of(options);
  LoadedModel model = load_model(options.model);
  const auto tokenizer =
      model.tokenizer_json.empty()
          ? nullptr
          : data::tokenizer_from_json(model.tokenizer_json, options.model + "/tokenizer.json");
  std::vector<Ids> starts;
  starts.reserve(prompts.size());
  for (const Prompt& prompt : prompts) {
    starts.push_back(ids_of(prompt, model, tokenizer.get(), options.model));
  }
  model::GenerateOptions how;
  how.max_new_tokens = options.max_new_tokens;
  how.sampling = {options.temperature, options.top_p, options.seed};
  how.sequences_at_once = options.batch_size;
  how.weights = weights;
  if (!options.ignore_eos) how.stop_ids = model.options.eos_token_ids;
  const auto all = model::generate(model.options, std::move(model.params), starts, how);

  const auto& stops = how.stop_ids;
  for (std::size_t i = 0; i < all.size(); ++i) {
    Ids shown = all[i];  // the end of the text is not part of the text
    if (!shown.empty() && std::find(stops.begin(), stops.end(), shown.back()) != stops.end()) {
      shown.pop_back();
    }
    if (tokenizer != nullptr) {  // a vocabulary may have more rows than there are tokens
      std::erase_if(shown, [&](std::int32_t id) { return id >= tokenizer->vocab_size(); });
    }
    const std::string text = tokenizer == nullptr ? "" : tokenizer->decode(shown);
    if (options.json) {
      print_json(all[i], text);
    } else if (tokenizer == nullptr) {
      print_ids(all[i]);
    } else {
      std::cout << prompts[i].text << text << '\n';
    }
  }
  return 0;
}

}  // namespace rw::launcher
