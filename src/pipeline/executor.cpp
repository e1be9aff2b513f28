// Part of Ropewalk, MIT licence.
#include "pipeline/executor.h"

#include <fmt/format.h>

#include <utility>

#include "core/dry_run.h"
#include "core/error.h"
#include "metrics/timer.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;
using core::Tensor;

bool computes(OpKind kind) {
  return kind == OpKind::kForward || kind == OpKind::kBackward || kind == OpKind::kBackwardInput ||
         kind == OpKind::kBackwardWeight;
}

}  // namespace

Executor::Executor(const Plan& plan, std::map<int, model::Stage*> stages, std::int64_t hidden_size,
                   comm::Communicator& world, core::Stream& stream, metrics::Trace* trace)
    : plan_(plan),
      stages_(std::move(stages)),
      hidden_size_(hidden_size),
      world_(world),
      stream_(stream),
      trace_(trace) {
  const auto& list = plan_.operations[static_cast<std::size_t>(world_.rank())];
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].receives()) receives_.push_back(i);
  }
}

Executor::~Executor() = default;

Execution Executor::run(const MicroBatchSizes& sizes, const ExecutorHooks& hooks) {
  sizes_ = &sizes;
  hooks_ = &hooks;
  result_ = {};
  result_.loss_sums.assign(plan_.paths.size(), 0);
  posted_ = received_ = 0;
  const std::int64_t begin = metrics::now_ns();
  post_receives();
  for (const Operation& op : plan_.operations[static_cast<std::size_t>(world_.rank())]) {
    if (op.kind == OpKind::kUpdate) result_.elapsed_ns = metrics::now_ns() - begin;
    perform(op);
  }
  for (Incoming& sent : outgoing_) wait(sent.ticket);
  outgoing_.clear();
  if (result_.elapsed_ns == 0) result_.elapsed_ns = metrics::now_ns() - begin;
  return std::move(result_);
}

void Executor::perform(const Operation& op) {
  const std::int64_t begin = metrics::now_ns();
  switch (op.kind) {
    case OpKind::kForward:
      forward(op);
      break;
    case OpKind::kBackward:
    case OpKind::kBackwardInput:
    case OpKind::kBackwardWeight:
      backward(op);
      break;
    case OpKind::kReceiveActivation:
    case OpKind::kReceiveGradient:
      receive(op);
      break;
    case OpKind::kSendActivation:
    case OpKind::kSendGradient:
      send(op);
      break;
    case OpKind::kReduce: {
      stream_.sync();
      const std::int64_t waiting = metrics::now_ns();
      hooks_->reduce(op.stage);
      result_.waiting_ns += metrics::now_ns() - waiting;
      break;
    }
    case OpKind::kUpdate:
      hooks_->update(result_);
      break;
  }
  if (computes(op.kind)) result_.busy_ns += metrics::now_ns() - begin;
  record(op, begin);
}

Tensor Executor::take(std::map<Key, Tensor>& from, const Operation& op) {
  auto node = from.extract({op.micro_batch, op.stage});
  if (node.empty()) {
    throw Error(ErrorKind::kBug,
                fmt::format("executor: {} of micro-batch {}, stage {}: its input is "
                            "not there; the plan is not sound",
                            op_name(op.kind), op.micro_batch, op.stage));
  }
  return std::move(node.mapped());
}

/// `tensor` goes to the station `step` places further along the path: into `next` when that is on
/// this rank, else into `out` until its send comes.
void Executor::hand_on(const Operation& op, int step, Tensor tensor, std::map<Key, Tensor>& next,
                       std::map<Key, Tensor>& out) {
  const auto& path = plan_.paths[static_cast<std::size_t>(op.micro_batch)];
  const int station = position_in(path, op.stage) + step;
  const Visit& to = path[static_cast<std::size_t>(station)];
  if (to.rank == world_.rank()) {
    next[{op.micro_batch, to.stage}] = std::move(tensor);
  } else {
    out[{op.micro_batch, op.stage}] = std::move(tensor);
  }
}

void Executor::forward(const Operation& op) {
  model::Stage& stage = *stages_.at(op.stage);
  model::StageInput input;
  input.batch = sizes_->rows[static_cast<std::size_t>(op.micro_batch)];
  input.tokens = sizes_->tokens;
  input.gradient_scale = sizes_->gradient_scale;
  if (stage.range().embedding) {
    input.token_ids = hooks_->token_ids(op.micro_batch);
  } else {
    input.x = take(inputs_, op);
  }
  if (stage.range().head) input.targets = hooks_->targets(op.micro_batch);
  std::unique_ptr<model::Saved> saved;
  auto output = stage.forward(input, plan_.forward_only ? nullptr : &saved, stream_);
  if (!plan_.forward_only) saved_[{op.micro_batch, op.stage}] = std::move(saved);
  if (stage.range().head) {
    result_.loss_sums[static_cast<std::size_t>(op.micro_batch)] = output.loss_sum;
  } else {
    hand_on(op, +1, std::move(output.y), inputs_, activations_out_);
  }
}

void Executor::backward(const Operation& op) {
  model::Stage& stage = *stages_.at(op.stage);
  const Key key{op.micro_batch, op.stage};
  const auto found = saved_.find(key);
  if (found == saved_.end()) {
    throw Error(ErrorKind::kBug,
                fmt::format("executor: {} of micro-batch {}, stage {} comes before "
                            "its forward; the plan is not sound",
                            op_name(op.kind), op.micro_batch, op.stage));
  }
  const auto done = [&](int bucket) {
    stream_.sync();  // the gradients are complete before they travel
    hooks_->bucket_done(op.stage, bucket);
  };
  if (op.kind == OpKind::kBackwardWeight) {
    stage.backward_weight(std::move(found->second), done, stream_);
    saved_.erase(found);
    return;
  }
  const Tensor dy = stage.range().head ? Tensor() : take(gradients_, op);
  Tensor dx;
  if (op.kind == OpKind::kBackwardInput) {
    dx = stage.backward_input(*found->second, dy, stream_);
  } else {
    dx = stage.backward(std::move(found->second), dy, done, stream_);
    saved_.erase(found);
  }
  if (!stage.range().embedding) hand_on(op, -1, std::move(dx), gradients_, gradients_out_);
}

void Executor::post_receives() {
  const auto& list = plan_.operations[static_cast<std::size_t>(world_.rank())];
  const auto most = static_cast<std::size_t>(plan_.channels.receive_buffers);
  while (posted_ < receives_.size() && posted_ < received_ + most) {
    const Operation& op = list[receives_[posted_++]];
    const std::int64_t rows = sizes_->rows[static_cast<std::size_t>(op.micro_batch)];
    Incoming& one = incoming_.emplace_back();
    const core::MemoryLabel label("receive buffers");
    one.tensor =
        Tensor::empty({rows * sizes_->tokens, hidden_size_}, core::DType::kF32, stream_.device());
    one.ticket = world_.receive(one.tensor, op.peer, op.tag);
  }
}

void Executor::receive(const Operation& op) {
  Incoming one = std::move(incoming_.front());
  incoming_.pop_front();
  wait(one.ticket);
  ++received_;
  auto& into = op.kind == OpKind::kReceiveActivation ? inputs_ : gradients_;
  into[{op.micro_batch, op.stage}] = std::move(one.tensor);
  post_receives();
}

void Executor::send(const Operation& op) {
  auto& from = op.kind == OpKind::kSendActivation ? activations_out_ : gradients_out_;
  Incoming one;
  one.tensor = take(from, op);
  stream_.sync();
  one.ticket = world_.send(one.tensor, op.peer, op.tag);
  outgoing_.push_back(std::move(one));
  while (outgoing_.size() > static_cast<std::size_t>(plan_.channels.send_buffers)) {
    wait(outgoing_.front().ticket);
    outgoing_.pop_front();
  }
}

void Executor::wait(comm::Ticket& ticket) {
  const std::int64_t begin = metrics::now_ns();
  ticket.wait();
  result_.waiting_ns += metrics::now_ns() - begin;
}

void Executor::record(const Operation& op, std::int64_t begin) {
  if (trace_ == nullptr) return;
  const bool message = op.sends() || op.receives() || op.kind == OpKind::kReduce;
  trace_->add(op_name(op.kind), message ? "comm" : "compute", begin, metrics::now_ns(),
              op.micro_batch, op.stage, message ? metrics::kLaneComm : metrics::kLaneCompute);
}

}  // namespace rw::pipeline
