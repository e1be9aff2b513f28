// Part of Ropewalk, MIT licence.
#include "ckpt/checkpointer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <sstream>

#include "ckpt/reader.h"
#include "ckpt/retention.h"
#include "ckpt/state.h"
#include "core/error.h"
#include "core/log.h"
#include "metrics/timer.h"

namespace rw::ckpt {
namespace {

using core::Error;
using core::ErrorKind;

constexpr std::uint32_t kUuidBytes = 16;

/// Fills the method's state from a checkpoint.
class LoadState final : public core::StateVisitor {
 public:
  LoadState(const CheckpointReader& reader, std::uint32_t rank)
      : reader_(reader), meta_(reader.meta(rank)) {}
  void tensor(const core::StateTensor& what, core::Tensor& tensor) override {
    reader_.read(what, tensor);
  }
  void number(std::string_view key, std::uint64_t& value) override {
    const auto found = meta_.numbers().find(std::string(key));
    if (found == meta_.numbers().end()) missing(key);
    value = found->second;
  }
  void text(std::string_view key, std::string& value) override {
    const auto found = meta_.texts().find(std::string(key));
    if (found == meta_.texts().end()) missing(key);
    value = found->second;
  }

 private:
  [[noreturn]] void missing(std::string_view key) const {
    throw Error(ErrorKind::kDataMalformed, fmt::format("{}: holds no '{}'", reader_.folder(), key));
  }
  const CheckpointReader& reader_;
  const proto::RankMeta& meta_;
};

std::string new_uuid() {
  std::random_device device;  // names a run; no number depends on it
  std::string out;
  while (out.size() < kUuidBytes) out.push_back(static_cast<char>(device() & 0xffU));
  return out;
}

/// Error{kRecipe} naming the first thing that the checkpoint and this run do not share.
void require_same(const std::string& folder, const proto::Manifest& manifest,
                  const RunIdentity& identity) {
  const auto& saved = manifest.global().identity();
  for (const auto& [key, want] : identity.same) {
    const auto found = saved.find(key);
    const std::string got = found == saved.end() ? "nothing" : found->second;
    if (identity.fits(key, got)) continue;
    const char* hint = key.rfind("parallel.", 0) == 0
                           ? "restoring at another (dp, pp) is not in this version"
                           : "give the run another output_dir, or the recipe of the checkpoint "
                             "(recipe.resolved.yaml)";
    throw Error(ErrorKind::kRecipe,
                fmt::format("{}: the checkpoint of another run: {}: it has '{}', "
                            "this run '{}'; {}",
                            folder, key, got, want, hint));
  }
}

proto::Vote failed_vote(const Error& error) {
  proto::Vote vote;
  vote.set_ok(false);
  vote.set_error_kind(static_cast<std::uint32_t>(error.kind()));
  vote.set_error(error.what());
  return vote;
}

/// Throws the first error among the votes, on every rank alike.
void require_all(const std::vector<std::string>& votes) {
  for (std::size_t rank = 0; rank < votes.size(); ++rank) {
    proto::Vote vote;
    if (!vote.ParseFromString(votes[rank])) {
      throw Error(ErrorKind::kComm, fmt::format("checkpoint: rank {} sent no readable vote", rank));
    }
    if (!vote.ok()) throw Error(static_cast<ErrorKind>(vote.error_kind()), vote.error());
  }
}

}  // namespace

bool RunIdentity::fits(const std::string& key, const std::string& saved) const {
  const auto is = [&](const std::map<std::string, std::string>& all) {
    const auto found = all.find(key);
    return found != all.end() && found->second == saved;
  };
  return is(same) || is(former);
}

struct Checkpointer::Snapshot {
  CollectState state;
};

Checkpointer::Checkpointer(store::Store& store, std::string folder, const Options& options,
                           std::unique_ptr<comm::Communicator> own, RunIdentity identity)
    : store_(store),
      folder_(std::move(folder)),
      options_(options),
      comm_(std::move(own)),
      identity_(std::move(identity)) {
  together([&] {
    if (comm_->rank() == 0) run_uuid_ = written_uuid().value_or(new_uuid());
  });
  run_uuid_ = from_first(run_uuid_);
}

/// That of the run that wrote to this folder before; nullopt: none did.
std::optional<std::string> Checkpointer::written_uuid() {
  const std::string path = folder_ + "/" + kRunName;
  proto::Run run;
  if (!store_.exists(path) || !run.ParseFromString(store::read_whole(store_, path)) ||
      run.uuid().size() != kUuidBytes) {
    return std::nullopt;
  }
  return run.uuid();
}

/// RUN.pb and the layout, where they are not, or not as they were: the folder may have been removed.
void Checkpointer::write_shared() {
  store_.make_folders(folder_);
  const auto written = written_uuid();
  if (!written) write_run();
  if (written && *written != run_uuid_) {
    throw Error(ErrorKind::kStorage,
                folder_ +
                    ": belongs to another run now (RUN.pb): somebody put it there while this job "
                    "ran; move it away, and go on from an earlier checkpoint");
  }
  const std::string path = folder_ + "/" + layout_name(layout_hash_);
  const bool there = store_.exists(path) && store::read_whole(store_, path) == layout_;
  if (!there) store::write_whole(store_, path, layout_);
}

void Checkpointer::write_run() {
  const std::string path = folder_ + "/" + kRunName;
  proto::Run run;
  run.set_format_version(kFormatVersion);
  run.set_uuid(run_uuid_);
  store::write_whole(store_, path, stable_text(run));
}

void Checkpointer::together(const std::function<void()>& body) {
  proto::Vote vote;
  vote.set_ok(true);
  try {
    body();
  } catch (const Error& error) {
    vote = failed_vote(error);
  }
  require_all(comm_->gather_text(vote.SerializeAsString()));
}

std::string Checkpointer::from_first(const std::string& text) {
  return comm_->gather_text(comm_->rank() == 0 ? text : "").front();
}

void Checkpointer::make_layout(const Snapshot& snapshot) {
  const std::string mine = stable_text(snapshot.state.layout);
  if (mine == layout_of_this_rank_)
    return;  // on every rank alike: the method's state has one shape
  proto::Layout layout;
  layout.set_format_version(kFormatVersion);
  for (const auto& text : comm_->gather_text(mine)) {
    auto* rank = layout.add_ranks();
    if (!rank->ParseFromString(text)) {
      throw Error(ErrorKind::kComm, "checkpoint: a rank sent no readable layout");
    }
    rank->set_rank(static_cast<std::uint32_t>(layout.ranks_size() - 1));
  }
  layout_hash_ = layout_hash(layout);
  layout_ = stable_text(layout);
  layout_of_this_rank_ = mine;
}

/// Makes the step's folder under a number that no attempt had.
StepFolder Checkpointer::begin(std::int64_t step) {
  StepFolder target{static_cast<std::uint64_t>(step), 0};
  std::string attempt;
  together([&] {
    if (comm_->rank() != 0) return;
    write_shared();
    for (const StepFolder& other : list_steps(store_, folder_)) {
      if (other.step == target.step) target.attempt = other.attempt + 1;
    }
    store_.make_folders(folder_ + "/" + target.name());
    attempt = std::to_string(target.attempt);
  });
  target.attempt = static_cast<std::uint32_t>(std::stoul(from_first(attempt)));
  return target;
}

proto::Manifest Checkpointer::start_manifest(const StepFolder& target) const {
  proto::Manifest out;
  out.set_format_version(kFormatVersion);
  out.set_run_uuid(run_uuid_);
  out.set_step(target.step);
  out.set_attempt(target.attempt);
  out.set_level("L3");
  out.set_world_size(static_cast<std::uint32_t>(comm_->size()));
  out.set_dp(identity_.dp);
  out.set_pp(identity_.pp);
  out.set_layout_hash(layout_hash_);
  for (const auto& [key, value] : identity_.same) {
    (*out.mutable_global()->mutable_identity())[key] = value;
  }
  out.mutable_global()->set_recipe(identity_.recipe);
  return out;
}

void Checkpointer::save(std::int64_t step, core::Method& method) {
  const std::int64_t begin_ns = metrics::now_ns();
  const StepFolder target = write(step, method);
  together([&] {
    if (comm_->rank() == 0) retain(store_, folder_, options_, target);
  });
  last_save_ms_ = static_cast<double>(metrics::now_ns() - begin_ns) / 1e6;
}

StepFolder Checkpointer::write(std::int64_t step, core::Method& method) {
  Snapshot snapshot;
  method.visit_state(snapshot.state);
  snapshot.state.finish();
  make_layout(snapshot);
  const StepFolder target = begin(step);
  const std::string folder = folder_ + "/" + target.name();
  proto::Manifest manifest = start_manifest(target);

  proto::Vote vote;
  vote.set_ok(true);
  try {
    const auto rank = static_cast<std::uint32_t>(comm_->rank());
    const ShardId id{run_uuid_, target.step,           target.attempt,
                     rank,      manifest.world_size(), layout_hash_};
    *vote.mutable_file() =
        write_shard(store_, folder + "/" + shard_name(rank), id, snapshot.state.layout,
                    snapshot.state.tensors, snapshot.state.meta);
    store_.sync_folder(folder);
  } catch (const Error& error) {
    vote = failed_vote(error);
  }
  const auto votes = comm_->gather_text(vote.SerializeAsString());
  try {
    require_all(votes);
    for (const auto& text : votes) {
      vote.ParseFromString(text);
      *manifest.add_files() = vote.file();
    }
    commit(target, manifest);
  } catch (const Error&) {
    // Every rank is here alike. What cannot be removed either has no manifest: nobody takes it for a
    // checkpoint, and the next commit removes it.
    if (comm_->rank() == 0 && !store_.exists(folder + "/" + kManifestName)) {
      try {
        store_.remove_tree(folder);
      } catch (const Error& error) {
        core::log_warning(error.what());
      }
    }
    throw;
  }
  return target;
}

void Checkpointer::commit(const StepFolder& target, const proto::Manifest& manifest) {
  together([&] {
    if (comm_->rank() != 0) return;
    write_manifest(store_, folder_ + "/" + target.name(), manifest);
    store_.sync_folder(folder_);
    store::write_whole(store_, folder_ + "/" + kLatestName, target.name() + "\n");
    const auto slash = folder_.rfind('/');
    if (slash != std::string::npos) {  // for people, beside the other results of the run
      const std::string here = folder_.substr(slash + 1) + "/" + target.name() + "\n";
      store::write_whole(store_, folder_.substr(0, slash) + "/latest", here);
    }
  });
  require_restorable(target);
}

/// What a restore opens first, opened by the names that it will use: somebody may have moved or
/// removed folders since they were made.
void Checkpointer::require_restorable(const StepFolder& target) {
  together([&] {
    const std::string path = folder_ + "/" + target.name();
    try {
      const CheckpointReader reader(store_, path);
      reader.meta(static_cast<std::uint32_t>(comm_->rank()));
    } catch (const Error& error) {
      throw Error(ErrorKind::kStorage,
                  fmt::format("{}: the checkpoint was written, but cannot be restored: {}; was its "
                              "folder moved or removed? The earlier checkpoints stay",
                              path, error.what()));
    }
  });
}

void Checkpointer::go_on_from(const std::string& step_folder, std::int64_t step,
                              core::Method& method) {
  std::string name;
  together([&] {
    if (comm_->rank() == 0 && lies_here(step_folder)) {
      name = step_folder.substr(step_folder.rfind('/') + 1);
    }
  });
  name = from_first(name);
  // A restart must find this state here, not that of the course before it.
  const bool from_elsewhere = name.empty();
  if (from_elsewhere) name = write(step, method).name();
  together([&] {
    if (comm_->rank() == 0) {
      go_back_to(store_, folder_, parse_step_folder(name).value(), from_elsewhere);
    }
  });
}

bool Checkpointer::lies_here(const std::string& step_folder) const {
  const auto slash = step_folder.rfind('/');
  if (slash == std::string::npos || !parse_step_folder(step_folder.substr(slash + 1))) return false;
  const std::string parent = step_folder.substr(0, slash);
  std::error_code code;
  return parent == folder_ || std::filesystem::equivalent(parent, folder_, code);
}

/// "" when every byte of the checkpoint holds; else what is wrong with it, on every rank alike.
std::string Checkpointer::problem_of(const std::string& step_folder) {
  try {
    together([&] {
      const auto manifest = read_manifest(store_, step_folder);
      read_layout(store_, folder_, manifest.layout_hash());
      verify_files(store_, step_folder, manifest, comm_->rank(), comm_->size());
    });
  } catch (const Error& error) {
    const bool of_files = error.kind() == ErrorKind::kDataMalformed ||
                          error.kind() == ErrorKind::kDataMissing ||
                          error.kind() == ErrorKind::kStorage;
    if (!of_files) throw;
    return error.what();
  }
  return {};
}

/// The names of the committed checkpoints, a line each. Rank 0.
std::string Checkpointer::newest_first() {
  std::string out;
  for (const StepFolder& step : list_committed(store_, folder_)) {
    out.insert(0, fmt::format("{}\n", step.name()));
  }
  if (!out.empty() || list_with_manifest(store_, folder_).empty()) return out;
  throw Error(
      ErrorKind::kStorage,
      fmt::format("{}: a job began to go back to an earlier checkpoint (its name is in {}), "
                  "which is gone now; bring it back, or remove {} to go on from the newest",
                  folder_, kBackToName, kBackToName));
}

std::optional<std::string> Checkpointer::newest() {
  std::string names;
  together([&] {
    if (comm_->rank() == 0) names = newest_first();
  });
  std::istringstream all(from_first(names));
  std::string problems;
  for (std::string name; std::getline(all, name);) {
    const std::string problem = problem_of(folder_ + "/" + name);
    if (problem.empty()) {
      if (comm_->rank() == 0 && !problems.empty()) {
        core::log_warning("passing over checkpoints that cannot be restored:" + problems);
      }
      return folder_ + "/" + name;
    }
    problems += fmt::format("\n  {}: {}", name, problem);
  }
  if (problems.empty()) return std::nullopt;
  throw Error(ErrorKind::kStorage,
              fmt::format("{}: checkpoints were committed here and none can be restored; nothing "
                          "was changed:{}\n  try again once the files can be read, bring them back "
                          "from a copy, or start anew with --overwrite, which keeps this run aside",
                          folder_, problems));
}

std::string Checkpointer::find(std::int64_t step) {
  std::string name;
  together([&] {
    if (comm_->rank() != 0) return;
    std::string others;
    for (const StepFolder& one : list_committed(store_, folder_)) {
      if (one.step == static_cast<std::uint64_t>(step)) name = one.name();
      others += fmt::format("{}{}", others.empty() ? "" : ", ", one.step);
    }
    if (!name.empty()) return;
    throw Error(ErrorKind::kDataMissing,
                fmt::format("{}: no checkpoint of step {}; there are: {}", folder_, step,
                            others.empty() ? "none" : others));
  });
  return folder_ + "/" + from_first(name);
}

std::int64_t Checkpointer::restore(const std::string& step_folder, core::Method& method) {
  std::int64_t step = 0;
  together([&] {
    const CheckpointReader reader(store_, step_folder);
    require_same(step_folder, reader.manifest(), identity_);
    LoadState load(reader, static_cast<std::uint32_t>(comm_->rank()));
    method.visit_state(load);
    step = reader.step();
  });
  return step;
}

}  // namespace rw::ckpt
