// Part of Ropewalk, MIT licence.
#include "launcher/commands/ckpt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <vector>

#include "ckpt/reader.h"
#include "ckpt/retention.h"
#include "core/error.h"
#include "core/json.h"
#include "launcher/load_model.h"
#include "launcher/run_folder.h"
#include "model/hf.h"
#include "store/posix.h"

namespace rw::launcher {
namespace {

using core::Error;
using core::ErrorKind;
using core::Json;

constexpr int kExitDamaged = 65;

std::string trimmed(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// The folder that holds the step folders of what the user named.
std::string checkpoints_folder(store::Store& store, const std::string& given) {
  std::string path = trimmed(given);
  std::string below = path + "/checkpoints";
  if (store.exists(below)) return below;
  if (!store.exists(path)) {
    throw Error(ErrorKind::kDataMissing, given + ": no such folder; want an output_dir");
  }
  return path;
}

/// The folders of the checkpoints named: one, or all of a run.
std::vector<std::string> chosen(store::Store& store, const std::string& given) {
  const std::string path = trimmed(given);
  if (store.exists(path + "/" + ckpt::kManifestName)) return {path};
  const std::string folder = checkpoints_folder(store, given);
  std::vector<std::string> out;
  for (const auto& step : ckpt::list_with_manifest(store, folder)) {
    out.push_back(folder + "/" + step.name());
  }
  if (out.empty()) {
    throw Error(ErrorKind::kDataMissing, given + ": no committed checkpoint");
  }
  return out;
}

int list(store::Store& store, const CkptOptions& options) {
  Json all = Json::array();
  for (const auto& folder : chosen(store, options.path)) {
    const auto manifest = ckpt::read_manifest(store, folder);
    std::uint64_t bytes = 0;
    for (const auto& file : manifest.files()) bytes += file.bytes();
    all.push_back({{"step", manifest.step()},
                   {"attempt", manifest.attempt()},
                   {"ranks", manifest.world_size()},
                   {"bytes", bytes},
                   {"path", folder}});
  }
  if (options.json) {
    std::cout << all.dump(2) << '\n';
    return 0;
  }
  for (const auto& one : all) {
    std::cout << fmt::format("step {:>8}  {:>3} ranks  {:>10.1f} MiB  {}\n",
                             one["step"].get<std::uint64_t>(), one["ranks"].get<int>(),
                             one["bytes"].get<double>() / (1 << 20),
                             one["path"].get<std::string>());
  }
  return 0;
}

int verify(store::Store& store, const CkptOptions& options) {
  Json all = Json::array();
  int code = 0;
  for (const auto& folder : chosen(store, options.path)) {
    std::string problem;
    try {
      ckpt::CheckpointReader(store, folder).verify();
    } catch (const Error& error) {
      problem = error.what();
      // A file that is not there is damage, too; what only cannot be read now is not.
      const int found = error.kind() == ErrorKind::kStorage ? error.exit_code() : kExitDamaged;
      code = std::max(code, found);
    }
    all.push_back({{"path", folder}, {"ok", problem.empty()}, {"problem", problem}});
    if (!options.json) {
      std::cout << folder << ": " << (problem.empty() ? "every byte holds" : problem) << '\n';
    }
  }
  if (options.json) std::cout << all.dump(2) << '\n';
  return code;
}

/// Largest absolute difference of one tensor; negative: not comparable.
double difference(const core::Tensor& a, const core::Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return -1;
  const auto x = core::to_floats(a);
  const auto y = core::to_floats(b);
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
  }
  return most;
}

int diff(store::Store& store, const CkptOptions& options) {
  const ckpt::CheckpointReader a(store, options.path);
  const ckpt::CheckpointReader b(store, options.other);
  Json all = Json::array();
  std::int64_t same = 0;
  for (const auto& place : a.tensors()) {
    if (place.record.flat_begin() > 0) continue;  // a further range of the one before
    const auto& name = place.record.logical_name();
    const auto& kind = place.record.kind();
    const bool there = std::any_of(b.tensors().begin(), b.tensors().end(), [&](const auto& one) {
      return one.record.logical_name() == name && one.record.kind() == kind;
    });
    const double most = there ? difference(a.tensor(name, kind), b.tensor(name, kind)) : -1;
    if (most == 0) {
      ++same;
      continue;
    }
    Json one{{"name", name}, {"kind", kind}};
    if (most < 0) {
      one["problem"] = there ? "another shape or dtype" : "only in the first";
    } else {
      one["max_abs_difference"] = most;
    }
    all.push_back(one);
  }
  if (options.json) {
    std::cout << Json{{"equal", same}, {"different", all}}.dump(2) << '\n';
    return 0;
  }
  for (const auto& one : all) std::cout << one.dump() << '\n';
  std::cout << fmt::format("{} tensors equal, {} different\n", same, all.size());
  return 0;
}

int collect(store::Store& store, const CkptOptions& options) {
  const std::string folder = checkpoints_folder(store, options.path);
  const RunLock lock = lock_run((std::filesystem::path(folder) / "..").string());
  const Json removed = ckpt::remove_uncommitted(store, folder);
  const auto committed = ckpt::list_with_manifest(store, folder);
  if (options.json) {
    std::cout << Json{{"removed", removed}}.dump(2) << '\n';
  } else {
    std::cout << fmt::format("{} uncommitted checkpoints removed, {} committed ones stay\n",
                             removed.size(), committed.size());
  }
  return 0;
}

int export_checkpoint(const CkptOptions& options) {
  const LoadedModel model = load_model(options.path, WithTokenizer::kYes);
  model::export_hf(options.out, model.options, [&](const model::ParamSpec& spec) {
    return model.params->find(spec.name)->value;
  });
  if (!model.tokenizer_json.empty() && !model.options.eos_token_ids.empty()) {
    model::write_tokenizer(options.out, model.tokenizer_json, model.options.eos_token_ids.front());
  }
  if (options.json) {
    std::cout << Json{{"out", options.out}}.dump() << '\n';
  } else {
    std::cout << options.out << '\n';
  }
  return 0;
}

}  // namespace

int run_ckpt(const CkptOptions& options) {
  const auto store = store::make_posix();
  if (options.verb == "ls") return list(*store, options);
  if (options.verb == "verify") return verify(*store, options);
  if (options.verb == "diff") return diff(*store, options);
  if (options.verb == "gc") return collect(*store, options);
  if (options.verb == "export") return export_checkpoint(options);
  throw Error(ErrorKind::kUsage,
              fmt::format("ropewalk ckpt {}: not in this version; start a run from "
                          "a Hugging Face folder with model.from",
                          options.verb));
}

}  // namespace rw::launcher
