// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "metrics/trace.h"
#include "model/stage.h"
#include "pipeline/agenda.h"
#include "pipeline/plan.h"
#include "pipeline/rank_times.h"

namespace rw::pipeline {

/// What one run of a plan did on this rank.
struct Execution {
  std::vector<double> loss_sums;    // per micro-batch, f64 nats; 0 where this rank has no head
  std::vector<double> loss_tokens;  // per micro-batch, real targets; 0 where this rank has no head
  std::int64_t elapsed_ns = 0;      // up to the update
  std::int64_t busy_ns = 0;         // forwards and backwards, without what they waited for
  std::int64_t waiting_ns = 0;      // for messages, reductions, values
  RankTimes times;
};

/// What the executor asks of its owner while it goes through a plan. Any may be empty when the plan
/// has no such operation.
struct ExecutorHooks {
  /// token_ids [B·T] i32 of a micro-batch, where the first stage needs them; targets, where the last
  /// one does. On the device.
  std::function<core::Tensor(int micro_batch)> token_ids, targets;
  /// Before a forward reads a bucket's values, which may still be on their way. Returns how long it
  /// waited for them, in ns, before anything else that it does.
  std::function<std::int64_t(int bucket)> bucket_needed;
  std::function<void(int stage, int bucket)> bucket_done;
  std::function<void(int stage)> reduce;
  std::function<void(const Execution&)> update;  // what was done so far
  /// Seconds that a forward or backward, run as `kind`, lasts at least: what is left of them when it has
  /// been computed is waited for. Empty: as long as it takes.
  std::function<double(const Operation& op, OpKind kind)> least_s;
};

/// Size of each micro-batch, the same on every rank; and what the loss of each is multiplied by
/// before gradients are taken (0 for evaluation).
struct MicroBatchSizes {
  std::vector<std::int64_t> rows;  // B of each
  std::int64_t tokens = 0;         // T per row
  float gradient_scale = 0;
};

struct ExecutorOptions {
  std::int64_t hidden_size = 0;
  double patience_s = -1;           // < 0: the planned order and no other
  metrics::Trace* trace = nullptr;  // outlives the executor; may be null
};

/// Runs one rank's list of a plan, whatever planner made it: the only place of the pipeline that
/// touches a device or the network (architecture.md §5). The plan must be sound (plan_check.h). Not
/// thread-safe.
///
/// Without patience the list is run in order; receives are posted ahead of their use and sends left
/// under way as far as the plan's channels allow. With patience a rank that has waited so long for its
/// next planned operation takes another one that is ready and safe (agenda.h); every receive is posted
/// before its message can be sent, and no send ever waits. Both give the same bits.
class Executor {
 public:
  /// `stages`: those of this rank, by number. plan, world and stages outlive the executor.
  Executor(const Plan& plan, std::map<int, model::Stage*> stages, comm::Communicator& world,
           core::Stream& stream, const ExecutorOptions& options);
  ~Executor();
  /// Collective. Throws what stages, messages and hooks throw.
  Execution run(const MicroBatchSizes& sizes, const ExecutorHooks& hooks);

 private:
  /// (micro-batch, stage)
  using Key = std::pair<int, int>;
  struct Message {
    std::size_t index = 0;  // in the list
    core::Tensor tensor;
    comm::Ticket ticket;
  };
  const std::vector<Operation>& list() const;
  std::int64_t since_begin() const;

  void run_in_order();
  void run_agenda();
  void rest();
  void take_arrivals();
  void post_after(std::size_t index);

  void perform(std::size_t index, OpKind kind);
  bool backward_next(std::size_t index) const;
  void forward(std::size_t index);
  void stay_until(std::int64_t end_ns);
  void backward(const Operation& op, OpKind kind);
  void receive(std::size_t index);
  void send(std::size_t index);
  void send_made(std::size_t index);
  Message post(std::size_t index);
  void keep(Message message);
  void post_receives();
  void hand_on(const Operation& op, int step, core::Tensor tensor,
               std::map<Key, core::Tensor>& next, std::map<Key, core::Tensor>& out);
  void wait(Message& message);
  void idle(std::size_t index, std::int64_t begin_ns, std::int64_t end_ns);
  void record(std::size_t index, OpKind kind, std::int64_t begin_ns);
  void record_predicted();
  core::Tensor take(std::map<Key, core::Tensor>& from, const Operation& op);

  const Plan& plan_;
  std::map<int, model::Stage*> stages_;
  comm::Communicator& world_;
  core::Stream& stream_;
  ExecutorOptions options_;
  std::vector<std::size_t> receives_;  // indices of this rank's receive operations, in order
  /// With patience: receives that may be posted once an operation is done; those of kAtOnce before all.
  static constexpr std::size_t kAtOnce = ~std::size_t{0};
  std::map<std::size_t, std::vector<std::size_t>> receives_after_;
  std::unique_ptr<Agenda> agenda_;

  // The run that is under way.
  const MicroBatchSizes* sizes_ = nullptr;
  const ExecutorHooks* hooks_ = nullptr;
  std::int64_t begin_ns_ = 0;
  Execution result_;
  std::map<Key, core::Tensor> inputs_, gradients_;  // ready to be used by (micro-batch, stage)
  std::map<Key, core::Tensor> activations_out_, gradients_out_;  // made, not sent yet
  std::map<Key, std::unique_ptr<model::Saved>> saved_;
  std::size_t posted_ = 0;        // of receives_
  std::size_t received_ = 0;      // of receives_
  std::deque<Message> incoming_;  // posted, not used yet
  std::deque<Message> outgoing_;  // sends under way
};

}  // namespace rw::pipeline
