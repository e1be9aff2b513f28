// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "model/options.h"
#include "model/params.h"

namespace rw::launcher {

/// A whole model for eval and generate.
struct LoadedModel {
  model::Options options;
  std::shared_ptr<model::Params> params;
  std::string tokenizer_json;  // empty: the folder has none
};

/// From a Hugging Face folder, or a checkpoint of ours (a step's folder, or an output_dir: its newest
/// one). Weights are f32 whatever the storage. Throws Error{kDataMissing} when it is neither.
LoadedModel load_model(const std::string& folder);

/// "f32" or "bf16", as --precision takes them; Error{kUsage} otherwise.
core::DType parse_precision(const std::string& text);

/// Decimal ids separated by white space; Error{kDataMalformed} names the first word that is none.
std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& where);

}  // namespace rw::launcher
