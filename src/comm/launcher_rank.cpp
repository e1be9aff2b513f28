// Part of Ropewalk, MIT licence.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <climits>
#include <span>
#include <string_view>

#include "comm/session.h"
#include "core/error.h"

namespace rw::comm {
namespace {

constexpr std::array kSizeVariables{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS",
                                    "SLURM_NTASKS", "SLURM_NPROCS"};

using Getenv = std::function<const char*(const char*)>;

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || at != end || value < 0) return std::nullopt;
  return value;
}

struct Variable {
  const char* name = nullptr;
  const char* text = nullptr;
};

/// The first of these variables that is set.
template <class Names>
std::optional<Variable> first_set(const Getenv& getenv, const Names& names) {
  for (const char* name : names) {
    if (const char* text = getenv(name); text != nullptr) return Variable{name, text};
  }
  return std::nullopt;
}

/// The first of these variables that holds a whole number >= 0.
std::optional<int> first_of(const Getenv& getenv, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* text = getenv(name);
    if (text == nullptr) continue;
    if (const auto value = number(text)) return value;
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const Variable& at, const std::string& problem) {
  throw core::Error(core::ErrorKind::kUsage,
                    fmt::format("the launcher's environment: got {}={}{}; try mpirun or srun, or "
                                "unset {} for a job without a launcher",
                                at.name, at.text, problem, at.name));
}

int value_of(const Variable& at) {
  const auto value = number(at.text);
  if (!value) refuse(at, fmt::format(", want a whole number from 0 to {}", INT_MAX));
  return *value;
}

/// Tasks of host `node` from Slurm's "2(x3),1": three hosts with 2 each, then one with 1.
std::optional<int> slurm_tasks(std::string_view list, int node) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto entry = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    const auto brace = entry.find("(x");
    const auto tasks = number(entry.substr(0, brace));
    int hosts = 1;
    if (brace != std::string_view::npos) {
      const auto close = entry.find(')', brace);
      const auto count = close == std::string_view::npos
                             ? std::nullopt
                             : number(entry.substr(brace + 2, close - brace - 2));
      if (!count) return std::nullopt;
      hosts = *count;
    }
    if (!tasks) return std::nullopt;
    if (node < hosts) return tasks;
    node -= hosts;
  }
  return std::nullopt;
}

std::optional<int> local_size_of(const Getenv& getenv) {
  if (const auto size = first_of(getenv, {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"})) {
    return size;
  }
  const char* list = getenv("SLURM_STEP_TASKS_PER_NODE");
  if (list == nullptr) list = getenv("SLURM_TASKS_PER_NODE");
  if (list == nullptr) return std::nullopt;
  return slurm_tasks(list, first_of(getenv, {"SLURM_NODEID"}).value_or(0));
}

bool bare_slurm_batch(const Getenv& getenv) {
  return getenv("SLURM_JOB_ID") != nullptr && getenv("SLURM_STEP_ID") == nullptr &&
         getenv("SLURM_STEPID") == nullptr;
}

}  // namespace

std::optional<LauncherRank> launcher_rank(const Getenv& getenv) {
  auto rank_at = first_set(getenv, std::span(kRankVariables).first(kRankVariables.size() - 1));
  if (!rank_at && !bare_slurm_batch(getenv)) {
    rank_at = first_set(getenv, std::span(kRankVariables).last(1));
  }
  if (!rank_at) return std::nullopt;
  const int rank = value_of(*rank_at);
  const auto size_at = first_set(getenv, kSizeVariables);
  if (!size_at) {
    refuse(*rank_at, fmt::format(" and no number of ranks: none of {} is set",
                                 fmt::join(kSizeVariables, ", ")));
  }
  const int size = value_of(*size_at);
  if (rank >= size) {
    refuse(*rank_at, fmt::format(" with {}={}: want a rank below the number of ranks",
                                 size_at->name, size_at->text));
  }
  const auto local_rank =
      first_of(getenv, {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"});
  const auto local_size = local_size_of(getenv);
  if (!local_rank || !local_size || *local_rank >= *local_size) {
    return LauncherRank{rank, size, rank, size};
  }
  return LauncherRank{rank, size, *local_rank, *local_size};
}

}  // namespace rw::comm
