// Part of Ropewalk, MIT licence.
#include "launcher/resume_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "model/resolve.h"
#include "recipe/keys.h"
#include "recipe/resolved.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;

struct Change {
  std::string key, before, now;
};

bool one_of(const std::string& key, std::initializer_list<const char*> keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

/// Other state, or another order of the data.
bool must_stay(const std::string& key) {
  return one_of(key, {"method", "parallel.dp", "parallel.pp", "optimizer.name", "seed",
                      "data.order", "train.seq_len", "train.global_batch_size"});
}

/// Neither state nor numbers.
bool says_nothing(const std::string& key) { return one_of(key, {"output_dir", "run_name"}); }

/// With what the model's options leave open filled in, as far as that can be done.
recipe::Recipe whole(recipe::Recipe recipe) {
  try {
    model::resolve(recipe.model, recipe.train.seq_len);
  } catch (const Error&) {  // a checkpoint of another version may not pass its rules
  }
  return recipe;
}

std::string weights(const recipe::Recipe& recipe) {
  std::string out;
  for (const auto& source : recipe.data.sources) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", source.weight);
  }
  return fmt::format("{} sources with weights [{}]", recipe.data.sources.size(), out);
}

std::string shown(const std::string& value) { return value.empty() ? "none" : value; }

/// All keys that have another value. `model`: those of the model are what is compared there.
std::vector<Change> differing(recipe::Recipe before, recipe::Recipe now, bool model) {
  std::vector<Change> out;
  for (const recipe::Key& key : recipe::keys()) {
    const std::string path = key.path();
    if (says_nothing(path) || (key.section.rfind("model", 0) == 0) != model) continue;
    if (path == "data.sources") {
      if (weights(before) != weights(now)) out.push_back({path, weights(before), weights(now)});
      continue;
    }
    const std::string old = recipe::value_text(key, before);
    const std::string own = recipe::value_text(key, now);
    if (old != own) out.push_back({path, shown(old), shown(own)});
  }
  return out;
}

bool same_identity(const ckpt::proto::Manifest& manifest, const ckpt::RunIdentity& identity,
                   const std::string& key) {
  const auto saved = manifest.global().identity().find(key);
  return saved == manifest.global().identity().end() || identity.fits(key, saved->second);
}

/// What of the model's keys is state: the identity leaves out those that only a start reads.
std::vector<Change> model_changes(const ckpt::proto::Manifest& manifest,
                                  const ckpt::RunIdentity& identity, const recipe::Recipe& before,
                                  const recipe::Recipe& now) {
  if (same_identity(manifest, identity, "model")) return {};
  auto out = differing(whole(before), whole(now), true);
  std::erase_if(out, [](const Change& change) {
    return one_of(change.key, {"model.from", "model.max_position_embeddings"});
  });
  return out;
}

}  // namespace

std::string resume_changes(const std::string& step_folder, const ckpt::proto::Manifest& manifest,
                           const recipe::Recipe& recipe, const ckpt::RunIdentity& identity,
                           const AtKey& at_key) {
  const std::string& text = manifest.global().recipe();
  if (text.empty()) return {};  // Checkpointer::restore compares what it must
  const recipe::Recipe before = recipe::load_text(text, step_folder).recipe;
  std::string allowed;
  std::string refused;
  const auto refuse = [&](const Change& change) {
    const char* advice =
        change.key.rfind("parallel.", 0) == 0
            ? "going on at another (dp, pp) is not in this version"
            : "leave it as it was, or give the new run another output_dir (or --overwrite)";
    refused += (refused.empty() ? "" : "\n") +
               at_key(change.key, fmt::format("got {}, want {}: {} is the checkpoint of another "
                                              "run; {}",
                                              change.now, change.before, step_folder, advice));
  };
  for (const Change& change : model_changes(manifest, identity, before, recipe)) refuse(change);
  for (const Change& change : differing(before, recipe, false)) {
    if (must_stay(change.key) || change.key == "data.sources") {
      refuse(change);
    } else {
      allowed += fmt::format("{}{} {} -> {}", allowed.empty() ? "" : ", ", change.key,
                             change.before, change.now);
    }
  }
  if (refused.empty() && !same_identity(manifest, identity, "data")) {
    refuse({"data.sources", manifest.global().identity().at("data"), identity.same.at("data")});
  }
  if (!refused.empty()) throw Error(ErrorKind::kRecipe, refused);
  return allowed;
}

}  // namespace rw::launcher
