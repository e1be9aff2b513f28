// Part of Ropewalk, MIT licence.
#include "ckpt/retention.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace rw::ckpt {
namespace {

constexpr const char* kGoing = ".going-";  // before the name of a step folder that is being removed

/// From the rename on it is no checkpoint. Renaming and removing take a link, not what it leads to.
void remove_step(store::Store& store, const std::string& folder, const StepFolder& step) {
  const std::string going = folder + "/" + kGoing + step.name();
  store.remove_tree(going);
  store.rename(folder + "/" + step.name(), going);
  store.sync_folder(folder);
  store.remove_tree(going);
}

/// Finishes the removals of dead jobs; returns what they had begun.
std::vector<std::string> remove_going(store::Store& store, const std::string& folder) {
  std::vector<std::string> out;
  const std::string front = kGoing;
  for (const auto& name : store.list(folder)) {
    if (name.rfind(front, 0) != 0 || !parse_step_folder(name.substr(front.size()))) continue;
    store.remove_tree(fmt::format("{}/{}", folder, name));
    out.push_back(name.substr(front.size()));
  }
  return out;
}

void set_aside(store::Store& store, const std::string& folder, const StepFolder& step) {
  const std::string quarantine = folder + "/" + kQuarantine;
  if (is_link(quarantine)) {
    throw core::Error(core::ErrorKind::kStorage,
                      fmt::format("{}: is a link, which is not followed to move {} there; want a "
                                  "folder, or nothing; remove the link",
                                  quarantine, step.name()));
  }
  store.make_folders(quarantine);
  const auto there = store.list(quarantine);
  std::string name = step.name();
  for (int i = 1; std::find(there.begin(), there.end(), name) != there.end(); ++i) {
    name = fmt::format("{}.{}", step.name(), i);
  }
  store.rename(folder + "/" + step.name(), quarantine + "/" + name);
}

bool contains(const std::vector<StepFolder>& all, const StepFolder& step) {
  return std::find(all.begin(), all.end(), step) != all.end();
}

}  // namespace

void go_back_to(store::Store& store, const std::string& folder, const StepFolder& kept,
                bool alone) {
  const auto all = list_with_manifest(store, folder);
  const auto left = [&](const StepFolder& step) { return step > kept || (alone && step < kept); };
  const std::string mark = folder + "/" + kBackToName;
  if (std::none_of(all.begin(), all.end(), left) && !store.exists(mark)) return;
  store::write_whole(store, mark, kept.name() + "\n");
  for (const StepFolder& step : all) {
    if (left(step)) set_aside(store, folder, step);
  }
  store.sync_folder(folder);
  store.remove(mark);
  store.sync_folder(folder);
}

void retain(store::Store& store, const std::string& folder, const Options& options,
            const StepFolder& newest) {
  remove_going(store, folder);
  go_back_to(store, folder, newest, false);
  const auto committed = list_committed(store, folder);
  const auto hidden = list_with_manifest(store, folder);
  const auto latest = static_cast<std::size_t>(std::max<std::int64_t>(1, options.keep_latest_k));
  const auto every = static_cast<std::uint64_t>(std::max<std::int64_t>(0, options.keep_every));
  for (const StepFolder& step : list_steps(store, folder)) {
    const auto found = std::find(committed.begin(), committed.end(), step);
    if (found == committed.end() && contains(hidden, step)) continue;
    const auto from_end = static_cast<std::size_t>(committed.end() - found);
    const bool kept =
        found != committed.end() && (from_end <= latest || (every > 0 && step.step % every == 0));
    if (!kept && step != newest) remove_step(store, folder, step);
  }
}

std::vector<std::string> remove_uncommitted(store::Store& store, const std::string& folder) {
  auto out = remove_going(store, folder);
  const auto committed = list_with_manifest(store, folder);
  for (const StepFolder& step : list_steps(store, folder)) {
    if (contains(committed, step)) continue;
    remove_step(store, folder, step);
    out.push_back(step.name());
  }
  return out;
}

}  // namespace rw::ckpt
