// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "core/tensor.h"
#include "model/options.h"
#include "model/params.h"

namespace rw::model {

/// config.json of a Hugging Face folder, as transformers 4 writes it (rope_theta, rope_scaling,
/// torch_dtype) or 5 (rope_parameters, dtype); end-of-text ids also from generation_config.json.
/// Absent keys take the defaults of the family's config class. Keys that change no number are
/// ignored; what would change numbers and is not supported (other families, MoE, sliding window,
/// yarn, biases, another activation, quantised weights) throws Error{kUsage} naming it.
/// Error{kDataMissing} without config.json, Error{kDataMalformed} when it is not what it should be.
Options read_hf_config(const std::string& folder);
/// The same from the text of a config.json; `where` stands in messages.
Options parse_hf_config(const std::string& text, const std::string& where);

/// Holds the weights of `folder` (model.safetensors, or shards with an index) against the table of
/// parameters, as HfWeights::check does, whose errors it throws. Reads headers only.
void check_hf_weights(const std::string& folder, const Options& options,
                      const std::string& strip_prefix = "");
/// Fills the parameters that `params` holds, converted to f32, after check_hf_weights. A second
/// head of a tied model that differs from its embedding: Error{kDataMalformed}.
void load_hf(const std::string& folder, const Options& options, Params& params,
             const std::string& strip_prefix = "");

/// Writes config.json, generation_config.json and model.safetensors (f32) to `folder`, made if need
/// be: loads in transformers 4 and 5 unchanged. `param` gives the values of one parameter at a time
/// and is called in the order of param_table. Equal weights give equal bytes. Error{kStorage}.
void export_hf(const std::string& folder, const Options& options,
               const std::function<core::Tensor(const ParamSpec&)>& param);
/// tokenizer.json and tokenizer_config.json beside an exported model. end_of_text: a token id.
void write_tokenizer(const std::string& folder, const std::string& tokenizer_json,
                     std::int64_t end_of_text);

}  // namespace rw::model
