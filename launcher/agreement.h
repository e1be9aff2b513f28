// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "recipe/recipe.h"

namespace rw::launcher {

/// One thing that must be the same on all ranks: a key of the recipe or another name that a user
/// knows, and what this rank has.
using Fact = recipe::KeyValue;

/// What a rank comes with to the start of a job.
struct Start {
  std::vector<Fact> facts;  // in the order in which differences are said
  std::string note;         // what may differ, and is said once when it does; one line
  int exit_code = 0;        // not 0: this rank cannot start, all leave with it
  std::string failure;      // why
};

/// The first thing that ranks say to each other, whatever each of them was started with. nullopt: go
/// on. Otherwise the code to leave with, the same on every rank; rank 0 has said why. Collective.
std::optional<int> agree_on_start(comm::Communicator& world, const Start& mine);

/// Throws AgreedFailure on all ranks, with what differs, unless all have the same facts. Collective.
void require_same(comm::Communicator& world, const std::vector<Fact>& mine);

/// The version and build of this program, the command with its options, and the recipe.
std::vector<Fact> start_facts(const std::string& command, const std::vector<Fact>& options,
                              const recipe::Recipe& recipe);

}  // namespace rw::launcher
