// Part of Ropewalk, MIT licence.
#include "train/watch_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace rw::train {
namespace {

constexpr int kTag = 0;
// Silence is called one before the limit: mpirun takes about two seconds to end a stopped rank.
constexpr double kSilentShare = 0.7;  // of the limit, at most
constexpr double kLeastSilentShare = 0.4;
constexpr double kSecondsToEnd = 2.5;
constexpr double kAlsoSilentShare = 0.6;  // of what makes one rank silent
constexpr double kNever = std::numeric_limits<double>::infinity();

double choose_interval(const WatchdogOptions& options) {
  constexpr double kLongest = 1;
  constexpr double kShortest = 0.005;
  constexpr double kBeatsPerLimit = 10;
  double shortest_limit = kLongest * kBeatsPerLimit;
  for (const double limit : {options.init_s, options.step_s}) {
    if (limit > 0) shortest_limit = std::min(shortest_limit, limit);
  }
  return std::max(kShortest, shortest_limit / kBeatsPerLimit);
}

/// Seconds without a heartbeat that end the job, so that it is gone `limit` seconds after the last.
double silence_in(double limit) {
  return std::clamp(limit - kSecondsToEnd, kLeastSilentShare * limit, kSilentShare * limit);
}

double limit_of(double seconds) { return seconds > 0 ? seconds : kNever; }

void append(std::string& list, const std::string& entry) {
  list += (list.empty() ? "" : "; ") + entry;
}

}  // namespace

WatchRing::WatchRing(comm::Communicator& own, const WatchdogOptions& options)
    : own_(own), options_(options), interval_(choose_interval(options)) {
  const int size = own_.size();
  self_.rank = own_.rank();
  for (int distance = 1; distance <= std::min(kNeighbours, size - 1); ++distance) {
    const core::Shape shape{static_cast<std::int64_t>(Beat{}.size())};
    Ear ear;
    ear.person.rank = (own_.rank() + size - distance) % size;
    ear.beat = core::Tensor::empty(shape, core::DType::kI64);
    ear.ticket = own_.receive(ear.beat, ear.person.rank, kTag);
    ears_.push_back(std::move(ear));
    Mouth mouth;
    mouth.rank = (own_.rank() + distance) % size;
    mouth.beat = core::Tensor::empty(shape, core::DType::kI64);
    mouths_.push_back(std::move(mouth));
  }
}

void WatchRing::tick(double seconds, std::int64_t step, std::int64_t calls) {
  self_.still_s = calls == self_.calls ? self_.still_s + seconds : 0;
  if (self_.step < 0 && step >= 0) begin_anew();
  self_.step = step;
  self_.calls = calls;
  hear(seconds);
  tell(false);
}

void WatchRing::hear(double seconds) {
  for (auto& ear : ears_) {
    auto& person = ear.person;
    person.silent_s += seconds;
    person.still_s += seconds;
    while (!person.gone && ear.ticket.done()) {
      Beat beat{};
      core::copy_to_host(ear.beat, beat.data(), sizeof beat);
      person.silent_s = 0;
      if (beat[1] != person.calls) person.still_s = 0;
      if (person.step < 0 && beat[0] >= 0) begin_anew();
      person.step = beat[0];
      person.calls = beat[1];
      person.gone = beat[2] != 0;
      if (!person.gone) ear.ticket = own_.receive(ear.beat, person.rank, kTag);
    }
  }
}

void WatchRing::tell(bool goodbye) {
  for (auto& mouth : mouths_) {
    // The one before has not been taken: its receiver does not run, and needs no second one.
    if (mouth.said_goodbye || !mouth.ticket.done()) continue;
    const Beat beat{self_.step, self_.calls, goodbye ? 1 : 0};
    core::copy_from_host(beat.data(), sizeof beat, mouth.beat);
    mouth.ticket = own_.send(mouth.beat, mouth.rank, kTag);
    mouth.said_goodbye = goodbye;
  }
}

bool WatchRing::farewell() {
  hear(0);
  tell(true);
  const bool heard =
      std::all_of(ears_.begin(), ears_.end(), [](const Ear& ear) { return ear.person.gone; });
  return std::all_of(mouths_.begin(), mouths_.end(),
                     [](Mouth& mouth) { return mouth.said_goodbye && mouth.ticket.done(); }) &&
         heard;
}

/// A rank that has begun to train may have waited long for one that has not.
void WatchRing::begin_anew() {
  self_.still_s = 0;
  for (auto& ear : ears_) ear.person.still_s = 0;
}

double WatchRing::still_limit() const {
  const bool all_begun =
      self_.step >= 0 && std::all_of(ears_.begin(), ears_.end(), [](const Ear& ear) {
        return ear.person.gone || ear.person.step >= 0;
      });
  return limit_of(all_begun ? options_.step_s : options_.init_s);
}

/// Heartbeats do not wait for training: who has begun himself expects them as he does steps.
double WatchRing::silent_limit() const {
  return limit_of(self_.step < 0 ? options_.init_s : options_.step_s);
}

std::string WatchRing::silent_ranks() const {
  const bool any = std::any_of(ears_.begin(), ears_.end(), [this](const Ear& ear) {
    return !ear.person.gone && ear.person.silent_s > silence_in(silent_limit());
  });
  std::string list;
  for (const auto& ear : ears_) {
    const auto& person = ear.person;
    const double enough = kAlsoSilentShare * silence_in(silent_limit());
    if (!any || person.gone || person.silent_s <= enough) continue;
    append(list, fmt::format("rank {} is silent: no heartbeat for {:.3g} s, {}", person.rank,
                             person.silent_s,
                             person.step < 0 ? "it has not begun to train"
                                             : fmt::format("last finished step {}", person.step)));
  }
  return list;
}

std::string WatchRing::still_ranks() const {
  std::vector<Person> still;
  const auto look = [&](const Person& person) {
    if (!person.gone && person.still_s > still_limit()) still.push_back(person);
  };
  look(self_);
  for (const auto& ear : ears_) look(ear.person);
  if (still.empty()) return {};
  std::sort(still.begin(), still.end(), [](const Person& a, const Person& b) {
    return a.step != b.step ? a.step < b.step : a.rank < b.rank;
  });
  std::string list;
  for (const auto& person : still) {
    if (person.step != still.front().step) break;  // those ahead wait for the ones behind
    append(list, fmt::format("rank {} is alive but {} for {:.3g} s", person.rank,
                             person.step < 0 ? "has not begun to train"
                                             : fmt::format("still in step {}", person.step + 1),
                             person.still_s));
  }
  return list;
}

std::optional<std::string> WatchRing::complaint() const {
  if (auto list = silent_ranks(); !list.empty()) {
    return list + " (its process is stopped or its host is gone)";
  }
  if (auto list = still_ranks(); !list.empty()) {
    return list + fmt::format(
                      " (it is stuck or slow; watchdog.init_s is {:.3g}, watchdog.step_s "
                      "{:.3g}: raise them if this is expected)",
                      options_.init_s, options_.step_s);
  }
  return std::nullopt;
}

}  // namespace rw::train
