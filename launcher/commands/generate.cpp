// Part of Ropewalk, MIT licence.
#include "launcher/commands/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/json_field.h"
#include "core/json_reader.h"
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
Prompt of_json(const std::string& line, const core::JsonSource& place) {
  const core::Json json = core::parse_json(line, place);
  const core::JsonField root(json, fmt::format("{}:{}", place.file, place.line));
  if (!json.is_object() || json.size() != 1) {
    root.refuse("an object with one key, {\"prompt\": text} or {\"prompt_ids\": [1, 2]}");
  }
  if (json.contains("prompt")) return of_text(root.at("prompt").text());
  Prompt out;
  for (const auto& id : root.at("prompt_ids").list("token ids")) {
    out.ids.push_back(
        static_cast<std::int32_t>(id.whole(0, std::numeric_limits<std::int32_t>::max())));
  }
  return out;
}

std::vector<Prompt> from_file(const std::string& path) {
  const auto store = store::make_posix();
  const std::string content = store::read_whole(*store, path);
  std::vector<Prompt> out;
  std::int64_t line = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string text = content.substr(begin, end - begin);
    ++line;
    if (text.find_first_not_of(" \t\r") != std::string::npos) {
      out.push_back(of_json(text, {path, line}));
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

/// The answer as it is printed: the end of the text is not part of the text.
std::string text_of(Ids shown, const std::vector<std::int64_t>& stops,
                    const data::Tokenizer& tokenizer) {
  if (!shown.empty() && std::find(stops.begin(), stops.end(), shown.back()) != stops.end()) {
    shown.pop_back();
  }
  // A vocabulary may have more rows than there are tokens.
  std::erase_if(shown, [&](std::int32_t id) { return id >= tokenizer.vocab_size(); });
  return tokenizer.decode(shown);
}

void print(const Ids& ids, const std::optional<std::string>& text, const Prompt& prompt,
           bool as_json) {
  if (as_json) {
    core::Json out;
    out["token_ids"] = ids;
    out["text"] = text ? core::Json(*text) : core::Json(nullptr);
    std::cout << out.dump(-1, ' ', false, core::Json::error_handler_t::replace) << '\n';
  } else if (text) {
    std::cout << prompt.text << *text << '\n';
  } else {
    std::cout << fmt::format("{}\n", fmt::join(ids, " "));
  }
}

}  // namespace

int run_generate(const GenerateOptions& options) {
  const core::DType weights = parse_precision(options.precision);
  if (options.samples > 1 && options.temperature <= 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--samples: got {} with --temperature 0, which always takes the "
                            "likeliest token: they would be equal; try --temperature 1",
                            options.samples));
  }
  const std::vector<Prompt> prompts = prompts_of(options);
  const bool text = std::any_of(prompts.begin(), prompts.end(),
                                [](const Prompt& prompt) { return prompt.has_text; });
  LoadedModel model = load_model(options.model, text ? WithTokenizer::kYes : WithTokenizer::kNo,
                                 options.strip_prefix);
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
  how.samples = options.samples;
  how.sampling = {options.temperature, options.top_p, options.seed};
  how.sequences_at_once = options.batch_size;
  how.weights = weights;
  if (!options.ignore_eos) how.stop_ids = model.options.eos_token_ids;
  const auto all = model::generate(model.options, std::move(model.params), starts, how);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Prompt& prompt = prompts[i / static_cast<std::size_t>(options.samples)];
    std::optional<std::string> answer;
    if (prompt.has_text) answer = text_of(all[i], how.stop_ids, *tokenizer);
    print(all[i], answer, prompt, options.json);
  }
  return 0;
}

}  // namespace rw::launcher
