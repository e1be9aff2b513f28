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
  std::string tokenizer_json;  // empty: the folder has none, or it was not asked for
};

/// Whether text will be encoded or decoded: without it no tokenizer file is opened.
enum class WithTokenizer : std::uint8_t { kNo, kYes };

/// From a Hugging Face folder, or a checkpoint of ours (a step's folder, or an output_dir: its newest
/// one). Weights are f32 whatever the storage. `strip_prefix`: taken off the names of a Hugging Face
/// folder's tensors. Throws Error{kDataMissing} when it is neither; before memory is taken
/// Error{kDataMalformed} when the weights do not fit config.json or this machine.
LoadedModel load_model(const std::string& folder, WithTokenizer tokenizer,
                       const std::string& strip_prefix = "");

/// "f32" or "bf16", as --precision takes them; Error{kUsage} otherwise.
core::DType parse_precision(const std::string& text);

/// Decimal ids separated by white space; Error{kDataMalformed} names the first word that is none.
std::vector<std::int32_t> parse_ids(const std::string& text, const std::string& where);

}  // namespace rw::launcher
