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
#include "pipeline/plan.h"

namespace rw::pipeline {

/// What one run of a plan did on this rank.
struct Execution {
  std::vector<double> loss_sums;  // per micro-batch, f64 nats; 0 where this rank has no head
  std::int64_t elapsed_ns = 0;    // up to the update
  std::int64_t busy_ns = 0;       // forwards and backwards
  std::int64_t waiting_ns = 0;    // for messages and reductions
};

/// What the executor asks of its owner while it goes through a plan. Any may be empty when the plan
/// has no such operation.
struct ExecutorHooks {
  /// token_ids [B·T] i32 of a micro-batch, where the first stage needs them; targets, where the last
  /// one does. On the device.
  std::function<core::Tensor(int micro_batch)> token_ids, targets;
  std::function<void(int stage, int bucket)> bucket_done;
  std::function<void(int stage)> reduce;
  std::function<void(const Execution&)> update;  // what was done so far
};

/// Size of each micro-batch, the same on every rank; and what the loss of each is multiplied by
/// before gradients are taken (0 for evaluation).
struct MicroBatchSizes {
  std::vector<std::int64_t> rows;  // B of each
  std::int64_t tokens = 0;         // T per row
  float gradient_scale = 0;
};

/// Runs one rank's list of a plan, whatever planner made it, in order: the only place of the
/// pipeline that touches a device or the network (architecture.md §5). Receives are posted ahead of
/// their use and sends left under way as far as the plan's channels allow. The plan must be sound
/// (plan_check.h). Not thread-safe.
class Executor {
 public:
  /// `stages`: those of this rank, by number. plan, world and stages outlive the executor; trace may
  /// be null.
  Executor(const Plan& plan, std::map<int, model::Stage*> stages, std::int64_t hidden_size,
           comm::Communicator& world, core::Stream& stream, metrics::Trace* trace);
  ~Executor();
  /// Collective. Throws what stages, messages and hooks throw.
  Execution run(const MicroBatchSizes& sizes, const ExecutorHooks& hooks);

 private:
  /// (micro-batch, stage)
  using Key = std::pair<int, int>;
  struct Incoming {
    core::Tensor tensor;
    comm::Ticket ticket;
  };
  void perform(const Operation& op);
  void forward(const Operation& op);
  void backward(const Operation& op);
  void receive(const Operation& op);
  void send(const Operation& op);
  void post_receives();
  void hand_on(const Operation& op, int step, core::Tensor tensor,
               std::map<Key, core::Tensor>& next, std::map<Key, core::Tensor>& out);
  void wait(comm::Ticket& ticket);
  void record(const Operation& op, std::int64_t begin);
  core::Tensor take(std::map<Key, core::Tensor>& from, const Operation& op);

  const Plan& plan_;
  std::map<int, model::Stage*> stages_;
  std::int64_t hidden_size_;
  comm::Communicator& world_;
  core::Stream& stream_;
  metrics::Trace* trace_;

  // The run that is under way.
  const MicroBatchSizes* sizes_ = nullptr;
  const ExecutorHooks* hooks_ = nullptr;
  Execution result_;
  std::map<Key, core::Tensor> inputs_, gradients_;  // ready to be used by (micro-batch, stage)
  std::map<Key, core::Tensor> activations_out_, gradients_out_;  // made, not sent yet
  std::map<Key, std::unique_ptr<model::Saved>> saved_;
  std::vector<std::size_t> receives_;  // indices of this rank's receive operations, in order
  std::size_t posted_ = 0;             // of receives_
  std::size_t received_ = 0;           // of receives_
  std::deque<Incoming> incoming_;      // posted, not used yet
  std::deque<Incoming> outgoing_;      // sends under way
};

}  // namespace rw::pipeline
