// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"
#include "model/options.h"
#include "store/safetensors.h"
#include "store/store.h"

namespace rw::model {

/// The weights of a Hugging Face folder by the names of the table of parameters. A folder may lack
/// `model.` in front of them, as a model that was saved without its head does.
class HfWeights {
 public:
  /// `strip_prefix`: taken off every stored name that begins with it; "": nothing. Throws what
  /// store::SafetensorsModel does; Error{kUsage} when no name begins with it, Error{kDataMalformed}
  /// when two names are one without it.
  HfWeights(store::Store& store, const std::string& folder, std::string strip_prefix = "");

  /// Holds names and shapes against the table. Throws Error{kDataMalformed} naming the first tensor
  /// that is missing, extra or of a wrong shape, and what stands in front of the names where that is
  /// why. A tied model may have a second head. Reads headers only.
  void check(const Options& options) const;
  bool contains(const std::string& name) const { return stored(name) != nullptr; }
  core::Shape shape(const std::string& name) const { return model_.shape(*stored(name)); }
  /// Fills `out`, f32 of the stored shape.
  void read_f32(const std::string& name, core::Tensor& out) const {
    model_.read_f32(*stored(name), out);
  }

 private:
  /// The name in the files of a name of the table; nullptr: not there.
  const std::string* stored(const std::string& name) const;
  /// What stands in front of this name of the table in the files; nullopt: not there either.
  std::optional<std::string> prefix_of(const std::string& name) const;
  [[noreturn]] void refuse_missing(const std::string& name, const core::Shape& shape) const;

  std::string folder_;
  store::SafetensorsModel model_;
  std::string strip_prefix_;
  std::vector<std::string> names_;                       // without the prefix
  std::unordered_map<std::string, std::string> stored_;  // by a name without the prefix
};

}  // namespace rw::model
