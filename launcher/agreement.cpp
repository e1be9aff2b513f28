// Part of Ropewalk, MIT licence.
#include "launcher/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "comm/session.h"
#include "core/build.h"
#include "core/error.h"
#include "core/log.h"
#include "core/printable.h"
#include "launcher/assemble.h"
#include "launcher/build_id.h"
#include "store/sha256.h"

namespace rw::launcher {
namespace {

constexpr int kUsage = 2;
constexpr const char* kMagic = "ropewalk start 1";
constexpr std::size_t kMostDifferences = 20, kMostHosts = 3, kLongestValue = 300;

/// What ranks say first. A rank of another version may say anything: then `known` is false.
struct Greeting {
  bool known = false;
  std::string digest, host, note;
  int exit_code = 0;
  std::string failure;
};

std::string text_of(const std::vector<Fact>& facts) {
  std::string out;
  for (const Fact& fact : facts) {
    out += core::printable_line(fact.key) + '\t' + core::printable_line(fact.value) + '\n';
  }
  return out;
}

std::vector<Fact> facts_of(const std::string& text) {
  std::vector<Fact> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto tab = std::min(line.find('\t'), line.size());
    out.push_back({line.substr(0, tab), line.substr(std::min(tab + 1, line.size()))});
  }
  return out;
}

std::string text_of(const Start& mine) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", kMagic, store::sha256_hex(text_of(mine.facts)),
                     comm::host_name(), mine.note, mine.exit_code, mine.failure);
}

Greeting greeting_of(const std::string& text) {
  Greeting out;
  std::istringstream lines(text);
  std::string magic, code;
  if (!std::getline(lines, magic) || magic != kMagic) return out;
  std::getline(lines, out.digest);
  std::getline(lines, out.host);
  std::getline(lines, out.note);
  std::getline(lines, code);
  std::getline(lines, out.failure, '\0');
  out.exit_code = std::atoi(code.c_str());
  out.known = true;
  return out;
}

/// "rank 0 (a)", "ranks 1-3, 7 (b, c, d, …)".
std::string place_of(const std::vector<std::size_t>& ranks, const std::vector<std::string>& hosts) {
  std::string numbers;
  std::vector<std::string> where;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    numbers += fmt::format("{}{}", numbers.empty() ? "" : ", ", ranks[i]);
    if (end > i + 1) numbers += fmt::format("-{}", ranks[end - 1]);
    i = end;
  }
  for (const std::size_t rank : ranks) {
    if (std::find(where.begin(), where.end(), hosts[rank]) == where.end()) {
      where.push_back(hosts[rank]);
    }
  }
  const bool more = where.size() > kMostHosts;
  if (more) where.resize(kMostHosts);
  return fmt::format("rank{} {} ({}{})", ranks.size() == 1 ? "" : "s", numbers,
                     fmt::join(where, ", "), more ? ", …" : "");
}

/// The texts of all ranks, each once, with the ranks that have it; in the order of the ranks.
struct Shared {
  std::string text;
  std::vector<std::size_t> ranks;
};
std::vector<Shared> grouped(const std::vector<std::string>& texts) {
  std::vector<Shared> out;
  std::map<std::string, std::size_t> places;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    const auto [at, fresh] = places.emplace(texts[rank], out.size());
    if (fresh) out.push_back({texts[rank], {}});
    out[at->second].ranks.push_back(rank);
  }
  return out;
}

/// "A on rank 0 (a), B on rank 1 (b)".
std::string spread_of(const std::vector<std::string>& texts,
                      const std::vector<std::string>& hosts) {
  std::string out;
  for (const Shared& one : grouped(texts)) {
    const bool cut = one.text.size() > kLongestValue;
    out += fmt::format("{}{}{} on {}", out.empty() ? "" : ", ",
                       one.text.empty() ? "nothing" : one.text.substr(0, kLongestValue),
                       cut ? "…" : "", place_of(one.ranks, hosts));
  }
  return out;
}

/// "KEY: got A on rank 0 (a), B on rank 1 (b)" for each key that differs.
std::vector<std::string> differences(const std::vector<std::string>& texts,
                                     const std::vector<std::string>& hosts) {
  std::vector<std::string> keys;
  std::vector<std::map<std::string, std::string>> values(texts.size());
  std::set<std::string> seen;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    for (Fact& fact : facts_of(texts[rank])) {
      if (seen.insert(fact.key).second) keys.push_back(fact.key);
      values[rank][fact.key] = std::move(fact.value);
    }
  }
  std::vector<std::string> out;
  for (const std::string& key : keys) {
    std::vector<std::string> of_key;
    of_key.reserve(values.size());
    for (auto& facts : values) of_key.push_back(facts[key]);
    const bool same = std::all_of(of_key.begin(), of_key.end(),
                                  [&](const std::string& one) { return one == of_key.front(); });
    if (!same) out.push_back(fmt::format("{}: got {}", key, spread_of(of_key, hosts)));
  }
  return out;
}

std::string refusal(std::vector<std::string> lines) {
  const std::size_t more = lines.size() - std::min(lines.size(), kMostDifferences);
  lines.resize(lines.size() - more);
  std::string out = fmt::format(
      "{}; want the same on all ranks; try one copy of the program, the recipe and its data, and "
      "the same overrides",
      lines.front());
  for (std::size_t i = 1; i < lines.size(); ++i) out += "\n  and " + lines[i];
  if (more > 0) out += fmt::format("\n  and {} more keys", more);
  return out;
}

/// Why not to start; empty: nothing is wrong. The same on every rank, but for the words of rank 0.
std::string problem_of(comm::Communicator& world, const Start& mine,
                       const std::vector<Greeting>& all, const std::vector<std::string>& hosts) {
  std::vector<std::string> failures;
  std::vector<std::size_t> strangers;
  bool differ = false, failed = false;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!all[rank].known) strangers.push_back(rank);
    failures.push_back(all[rank].failure);
    failed = failed || all[rank].exit_code != 0;
    differ = differ || all[rank].digest != all.front().digest;
  }
  if (!strangers.empty()) {
    return fmt::format(
        "ropewalk: the program: {} on {}, another version on {}; want the same on "
        "all ranks",
        core::kVersion, comm::host_name(), place_of(strangers, hosts));
  }
  if (failed) {
    std::string out;
    const auto texts = grouped(failures);
    for (const Shared& one : texts) {
      if (one.text.empty()) continue;
      out += out.empty() ? "" : "\n";
      if (texts.size() > 1) out += place_of(one.ranks, hosts) + ": ";
      out += one.text;
    }
    return out;
  }
  if (!differ) return "";
  return "ropewalk: " + refusal(differences(world.gather_text(text_of(mine.facts)), hosts));
}

}  // namespace

std::optional<int> agree_on_start(comm::Communicator& world, const Start& mine) {
  std::vector<Greeting> all;
  std::vector<std::string> hosts, notes;
  int code = 0;
  for (const std::string& text : world.gather_text(text_of(mine))) {
    all.push_back(greeting_of(text));
    hosts.push_back(all.back().known ? all.back().host : "unknown host");
    notes.push_back(all.back().note);
    if (code == 0) code = all.back().exit_code;
  }
  const std::string problem = problem_of(world, mine, all, hosts);
  if (problem.empty()) {
    if (world.rank() == 0 && grouped(notes).size() > 1) {
      core::log_info(fmt::format("ranks differ: {}; the same bits again want the same again",
                                 spread_of(notes, hosts)));
    }
    return std::nullopt;
  }
  if (world.rank() == 0) std::cerr << core::printable(problem) << std::endl;
  world.barrier().wait();  // nobody leaves before rank 0 has spoken
  return code == 0 ? kUsage : code;
}

void require_same(comm::Communicator& world, const std::vector<Fact>& mine) {
  const std::string text = text_of(mine);
  const auto digests = world.gather_text(store::sha256_hex(text) + '\n' + comm::host_name());
  std::vector<std::string> hosts;
  bool differ = false;
  for (const std::string& one : digests) {
    const auto cut = one.find('\n');
    differ = differ || one.substr(0, cut) != digests.front().substr(0, cut);
    hosts.push_back(one.substr(cut + 1));
  }
  if (differ) throw AgreedFailure{kUsage, refusal(differences(world.gather_text(text), hosts))};
}

std::vector<Fact> start_facts(const std::string& command, const std::vector<Fact>& options,
                              const recipe::Recipe& recipe) {
  const std::string build = build_id();
  std::vector<Fact> out;
  out.push_back({"the program", fmt::format("version {}{}{}", core::kVersion,
                                            build.empty() ? "" : " build ", build)});
  out.push_back({"the command", command});
  out.insert(out.end(), options.begin(), options.end());
  const auto values = recipe::shared_values(recipe);
  out.insert(out.end(), values.begin(), values.end());
  return out;
}

}  // namespace rw::launcher
