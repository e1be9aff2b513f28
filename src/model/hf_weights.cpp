// Part of Ropewalk, MIT licence.
#include "model/hf_weights.h"

#include <fmt/format.h>

#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "model/params.h"

namespace rw::model {
namespace {

using core::Error;
using core::ErrorKind;

constexpr std::string_view kTrunk = "model.";
constexpr const char* kHead = "lm_head.weight";

std::string_view without_trunk(std::string_view name) {
  if (name.starts_with(kTrunk)) name.remove_prefix(kTrunk.size());
  return name;
}

/// Who puts such words in front of names.
struct Wrapper {
  std::string_view prefix, name;
};
constexpr std::array<Wrapper, 3> kWrappers{{{"_orig_mod.", "torch.compile"},
                                            {"module.", "DistributedDataParallel"},
                                            {"_fsdp_wrapped_module.", "FSDP"}}};

std::string wrappers_of(const std::string& prefix) {
  std::string out;
  for (const Wrapper& one : kWrappers) {
    if (("." + prefix).find(fmt::format(".{}", one.prefix)) == std::string::npos) continue;
    out += fmt::format("{}{}", out.empty() ? " (" : " and ", one.name);
  }
  return out.empty() ? out : out + ")";
}

}  // namespace

HfWeights::HfWeights(store::Store& store, const std::string& folder, std::string strip_prefix)
    : folder_(folder), model_(store, folder), strip_prefix_(std::move(strip_prefix)) {
  bool found = strip_prefix_.empty();
  for (const std::string& name : model_.names()) {
    const bool has = !strip_prefix_.empty() && name.starts_with(strip_prefix_);
    const std::string shorter = has ? name.substr(strip_prefix_.size()) : name;
    found = found || has;
    const auto [place, is_new] = stored_.emplace(shorter, name);
    if (!is_new) {
      throw Error(ErrorKind::kDataMalformed,
                  fmt::format("{}: got both {} and {}, which are one name without the prefix {}; "
                              "want one of them",
                              folder_, place->second, name, strip_prefix_));
    }
    names_.push_back(shorter);
  }
  if (found) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("--strip-prefix: got {}, but no tensor of {} begins with it; the first "
                          "is {}",
                          strip_prefix_, folder_, names_.empty() ? "missing" : names_.front()));
}

const std::string* HfWeights::stored(const std::string& name) const {
  auto found = stored_.find(name);
  if (found == stored_.end()) found = stored_.find(std::string(without_trunk(name)));
  return found == stored_.end() ? nullptr : &found->second;
}

std::optional<std::string> HfWeights::prefix_of(const std::string& name) const {
  const std::string_view bare = without_trunk(name);
  std::optional<std::string> out;
  for (const std::string& stored : names_) {
    for (const std::string_view ending : {std::string_view(name), bare}) {
      if (!stored.ends_with(ending)) continue;
      const std::string prefix = stored.substr(0, stored.size() - ending.size());
      if (!prefix.ends_with('.')) continue;
      if (!out || prefix.size() < out->size()) out = prefix;
    }
  }
  return out;
}

void HfWeights::refuse_missing(const std::string& name, const core::Shape& shape) const {
  std::string why;
  if (const auto prefix = prefix_of(name)) {
    const std::string whole = strip_prefix_ + *prefix;
    why = fmt::format(
        "; the names begin with `{}`{}: try `--strip-prefix {}`, which eval and generate take",
        whole, wrappers_of(whole), whole);
  } else if (name == kHead) {
    why = "; or \"tie_word_embeddings\": true in config.json, where the embedding is the head";
  }
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: tensor {} is missing, want {}{}", folder_, name, shape.text(), why));
}

void HfWeights::check(const Options& options) const {
  if (options.num_hidden_layers > static_cast<std::int64_t>(names_.size())) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: num_hidden_layers: got {} in config.json, want no more than the "
                            "{} tensors that are there",
                            folder_, options.num_hidden_layers, names_.size()));
  }
  std::set<std::string> wanted;
  for (const auto& spec : param_table(options)) {
    const std::string* name = stored(spec.name);
    if (name == nullptr) refuse_missing(spec.name, spec.shape);
    wanted.insert(*name);
    const auto shape = model_.shape(*name);
    if (shape != spec.shape) {
      throw Error(ErrorKind::kDataMalformed,
                  fmt::format("{}: tensor {}: got {}, config.json wants {}", folder_, *name,
                              shape.text(), spec.shape.text()));
    }
  }
  for (const auto& name : names_) {
    const bool tied_copy = options.tie_word_embeddings && name == kHead;
    const bool buffer = name.size() > 8 && name.ends_with("inv_freq");  // written by old versions
    const std::string& whole = stored_.at(name);
    if (wanted.contains(whole) || tied_copy || buffer) continue;
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: tensor {} is extra: the model that config.json describes has no "
                            "such parameter",
                            folder_, whole));
  }
}

}  // namespace rw::model
