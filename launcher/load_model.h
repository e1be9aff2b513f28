// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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
/// one). Throws Error{kUsage} unless precision is f32, Error{kDataMissing} when it is neither.
LoadedModel load_model(const std::string& folder, const std::string& precision);

/// Decimal ids separated by white space; Error{kDataMalformed} names the first word that is none.
std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& where);

}  // namespace rw::launcher
