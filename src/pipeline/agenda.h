// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "pipeline/plan.h"

namespace rw::pipeline {

/// Something to run now: the operation at `index` of the rank's list, as `kind`. A backward may be run
/// in its two parts.
struct Choice {
  std::size_t index = 0;
  OpKind kind = OpKind::kForward;
  bool operator==(const Choice&) const = default;
};

/// What one rank may do next in one step when it need not keep to the order of its list: the planned
/// operation, or another one that is ready and leaves a way to the end. Only forwards and backwards
/// count here; a receive is a condition, a send follows what it carries, reduce and update come when
/// all else is done. Pure: no clock, no network. The rule, and why no rank ever waits for ever and no
/// bit changes, stands in docs/adr/0011-leaving-the-planned-order.md.
class Agenda {
 public:
  /// `plan` is sound and outlives it.
  Agenda(const Plan& plan, int rank);
  /// A new step.
  void begin();
  /// The message of the receive at `index` of the list is there.
  void arrived(std::size_t index);
  void done(const Choice& choice);
  /// All forwards and backwards are done.
  bool over() const { return first_ == items_.size(); }

  /// The next planned operation, if its input is there.
  std::optional<Choice> planned() const;
  /// Another one: of those that are ready and safe the one with the longest remaining path, the
  /// earlier planned first. Cost: about the operations left.
  std::optional<Choice> other() const;
  /// All that other() may choose from.
  std::vector<Choice> others() const;
  /// The receive (index in the list) that the next planned operation waits for; none: it waits for
  /// nothing that comes from elsewhere.
  std::optional<std::size_t> missing() const;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct Item {
    std::size_t index = 0;  // in the list
    OpKind kind = OpKind::kForward;
    std::size_t receive = kNone;      // brings its input
    std::vector<std::size_t> before;  // items of this rank that it needs
    double tail = 0;                  // what is left of its micro-batch's path, itself included
    bool arrived = false;             // the receive's message
    bool input_done = false;          // of a whole backward: its weights are still owed
    bool done = false;
  };
  bool ready(const Item& item) const;
  /// Its input part is done, as far as later operations need it.
  bool through(const Item& item) const { return item.done || item.input_done; }
  static int change(const Item& item, OpKind kind);
  template <class Visit>
  void visit_others(const Visit& visit) const;
  void link(const Plan& plan, int rank);
  void measure(const Plan& plan, int rank);

  int bound_ = 0;
  bool keeps_ = true;  // forwards leave something in memory
  std::vector<Item> items_, fresh_;
  std::vector<std::size_t> item_of_receive_;  // by index in the list
  std::vector<std::size_t> item_of_;          // by index in the list
  std::size_t first_ = 0;                     // that is not done
  int live_ = 0;
};

}  // namespace rw::pipeline
