// Part of Ropewalk, MIT licence.
#include "pipeline/executor.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <utility>

#include "core/dry_run.h"
#include "core/error.h"
#include "metrics/timer.h"
#include "pipeline/predicted_parts.h"

namespace rw::pipeline {
namespace {

using core::Error;
using core::ErrorKind;
using core::Tensor;

constexpr double kNanosPerSecond = 1e9;
constexpr std::int64_t kShortestIdleNanos = 1000;  // to be worth a note

double seconds(std::int64_t ns) { return static_cast<double>(ns) / kNanosPerSecond; }

}  // namespace

Executor::Executor(const Plan& plan, std::map<int, model::Stage*> stages, comm::Communicator& world,
                   core::Stream& stream, const ExecutorOptions& options)
    : plan_(plan), stages_(std::move(stages)), world_(world), stream_(stream), options_(options) {
  std::map<int, std::size_t>
      before;  // per micro-batch: its last operation that passes something on
  for (std::size_t i = 0; i < list().size(); ++i) {
    const Operation& op = list()[i];
    if (op.receives()) {
      receives_.push_back(i);
      const auto found = before.find(op.micro_batch);
      receives_after_[found == before.end() ? kAtOnce : found->second].push_back(i);
    } else if (computes(op.kind) && op.kind != OpKind::kBackwardWeight) {
      before[op.micro_batch] = i;
    }
  }
  if (options_.patience_s >= 0) agenda_ = std::make_unique<Agenda>(plan_, world_.rank());
}

Executor::~Executor() = default;

const std::vector<Operation>& Executor::list() const {
  return plan_.operations[static_cast<std::size_t>(world_.rank())];
}

std::int64_t Executor::since_begin() const { return metrics::now_ns() - begin_ns_; }

Execution Executor::run(const MicroBatchSizes& sizes, const ExecutorHooks& hooks) {
  sizes_ = &sizes;
  hooks_ = &hooks;
  result_ = {};
  result_.loss_sums.assign(plan_.paths.size(), 0);
  result_.loss_tokens.assign(plan_.paths.size(), 0);
  posted_ = received_ = 0;
  begin_ns_ = metrics::now_ns();
  if (agenda_ != nullptr) {
    run_agenda();
  } else {
    run_in_order();
  }
  for (Message& sent : outgoing_) wait(sent);
  outgoing_.clear();
  if (result_.elapsed_ns == 0) result_.elapsed_ns = since_begin();
  record_predicted();
  return std::move(result_);
}

void Executor::run_in_order() {
  post_receives();
  for (std::size_t i = 0; i < list().size(); ++i) perform(i, list()[i].kind);
}

void Executor::run_agenda() {
  agenda_->begin();
  post_after(kAtOnce);
  while (!agenda_->over()) {
    take_arrivals();
    auto choice = agenda_->planned();
    if (!choice) {
      rest();
      choice = agenda_->planned();
      if (!choice) choice = agenda_->other();
      if (!choice) continue;
    }
    perform(choice->index, choice->kind);
    stream_.sync();  // so that its end is known
    agenda_->done(*choice);
    if (choice->kind != OpKind::kBackwardWeight) {
      send_made(choice->index);
      post_after(choice->index);
    }
  }
  for (std::size_t i = 0; i < list().size(); ++i) {
    const OpKind kind = list()[i].kind;
    if (kind == OpKind::kReduce || kind == OpKind::kUpdate) perform(i, kind);
  }
}

/// Waits until the next planned operation can run, or, when patience ends, another one; at the longest
/// until the next message.
void Executor::rest() {
  const std::int64_t begin = since_begin();
  const auto missing = agenda_->missing();
  const std::size_t cause = missing.value_or(list().size());
  while (true) {
    const std::uint64_t seen = world_.events();
    take_arrivals();
    if (agenda_->planned()) break;
    const double left = options_.patience_s - seconds(since_begin() - begin);
    const bool another = agenda_->other().has_value();
    if (another && left <= 0) break;
    if (!missing && !another) {
      throw Error(ErrorKind::kBug, "executor: nothing is left to wait for; the plan is not sound");
    }
    world_.wait_event(seen, another ? left : -1);
  }
  idle(cause, begin, since_begin());
}

void Executor::take_arrivals() {
  for (std::size_t i = 0; i < incoming_.size();) {
    if (!incoming_[i].ticket.done()) {
      ++i;
      continue;
    }
    const std::size_t index = incoming_[i].index;
    keep(std::move(incoming_[i]));
    incoming_.erase(incoming_.begin() + static_cast<std::ptrdiff_t>(i));
    agenda_->arrived(index);
    record(index, list()[index].kind, since_begin());  // when it was noticed
  }
  while (!outgoing_.empty() && outgoing_.front().ticket.done()) outgoing_.pop_front();
}

void Executor::post_after(std::size_t index) {
  const auto found = receives_after_.find(index);
  if (found == receives_after_.end()) return;
  for (const std::size_t receive : found->second) incoming_.push_back(post(receive));
}

/// Sends what the operation at `index` made, if it goes to another rank.
void Executor::send_made(std::size_t index) {
  const Operation& op = list()[index];
  const bool forward = op.kind == OpKind::kForward;
  if ((forward ? activations_out_ : gradients_out_).count({op.micro_batch, op.stage}) == 0) return;
  const OpKind kind = forward ? OpKind::kSendActivation : OpKind::kSendGradient;
  for (std::size_t i = index + 1; i < list().size(); ++i) {
    const Operation& one = list()[i];
    if (one.kind == kind && one.micro_batch == op.micro_batch && one.stage == op.stage) {
      perform(i, kind);
      return;
    }
  }
}

void Executor::perform(std::size_t index, OpKind kind) {
  const std::int64_t begin = since_begin();
  const std::int64_t waited_before = result_.waiting_ns;
  const Operation& op = list()[index];
  switch (kind) {
    case OpKind::kForward:
      forward(index);
      break;
    case OpKind::kBackward:
    case OpKind::kBackwardInput:
    case OpKind::kBackwardWeight:
      backward(op, kind);
      break;
    case OpKind::kReceiveActivation:
    case OpKind::kReceiveGradient:
      receive(index);
      break;
    case OpKind::kSendActivation:
    case OpKind::kSendGradient:
      send(index);
      break;
    case OpKind::kReduce: {
      stream_.sync();
      const std::int64_t waiting = since_begin();
      hooks_->reduce(op.stage);
      idle(index, waiting, since_begin());
      break;
    }
    case OpKind::kUpdate:
      result_.elapsed_ns = begin;
      hooks_->update(result_);
      break;
  }
  const std::int64_t waited = result_.waiting_ns - waited_before;
  if (computes(kind) && hooks_->least_s) {
    const double least = hooks_->least_s(op, kind);
    stay_until(begin + waited + static_cast<std::int64_t>(least * kNanosPerSecond));
  }
  record(index, kind, begin);
  if (computes(kind)) result_.busy_ns -= waited;
}

void Executor::stay_until(std::int64_t end_ns) {
  stream_.sync();
  std::this_thread::sleep_for(std::chrono::nanoseconds(end_ns - since_begin()));
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

/// In the planned order a whole backward of the micro-batch is what this rank computes next.
bool Executor::backward_next(std::size_t index) const {
  if (agenda_ != nullptr) return false;
  const Operation& op = list()[index];
  for (std::size_t i = index + 1; i < list().size(); ++i) {
    const Operation& next = list()[i];
    if (!computes(next.kind)) continue;
    return next.kind == OpKind::kBackward && next.micro_batch == op.micro_batch &&
           next.stage == op.stage;
  }
  return false;
}

void Executor::forward(std::size_t index) {
  const Operation& op = list()[index];
  model::Stage& stage = *stages_.at(op.stage);
  const auto m = static_cast<std::size_t>(op.micro_batch);
  model::StageInput input;
  input.batch = sizes_->rows[m];
  input.tokens = sizes_->tokens;
  input.gradient_scale = sizes_->gradient_scale;
  if (stage.range().embedding) {
    input.token_ids = hooks_->token_ids(op.micro_batch);
  } else {
    input.x = take(inputs_, op);
  }
  if (stage.range().head) {
    input.targets = hooks_->targets(op.micro_batch);
    input.backward_next = backward_next(index);
  }
  if (hooks_->bucket_needed) {
    input.needed = [&](int bucket) {
      const std::int64_t begin = since_begin();
      idle(index, begin, begin + hooks_->bucket_needed(bucket));
    };
  }
  std::unique_ptr<model::Saved> saved;
  auto output = stage.forward(input, plan_.forward_only ? nullptr : &saved, stream_);
  if (!plan_.forward_only) saved_[{op.micro_batch, op.stage}] = std::move(saved);
  if (stage.range().head) {
    result_.loss_sums[m] = output.loss_sum;
    result_.loss_tokens[m] = static_cast<double>(output.loss_tokens);
  } else {
    hand_on(op, +1, std::move(output.y), inputs_, activations_out_);
  }
}

void Executor::backward(const Operation& op, OpKind kind) {
  model::Stage& stage = *stages_.at(op.stage);
  const Key key{op.micro_batch, op.stage};
  const auto found = saved_.find(key);
  if (found == saved_.end()) {
    throw Error(ErrorKind::kBug,
                fmt::format("executor: {} of micro-batch {}, stage {} comes before "
                            "its forward; the plan is not sound",
                            op_name(kind), op.micro_batch, op.stage));
  }
  const auto done = [&](int bucket) {
    stream_.sync();  // the gradients are complete before they travel
    hooks_->bucket_done(op.stage, bucket);
  };
  if (kind == OpKind::kBackwardWeight) {
    stage.backward_weight(std::move(found->second), done, stream_);
    saved_.erase(found);
    return;
  }
  const Tensor dy = stage.range().head ? Tensor() : take(gradients_, op);
  Tensor dx;
  if (kind == OpKind::kBackwardInput) {
    dx = stage.backward_input(*found->second, dy, stream_);
  } else {
    dx = stage.backward(std::move(found->second), dy, done, stream_);
    saved_.erase(found);
  }
  if (!stage.range().embedding) hand_on(op, -1, std::move(dx), gradients_, gradients_out_);
}

Executor::Message Executor::post(std::size_t index) {
  const Operation& op = list()[index];
  const std::int64_t rows = sizes_->rows[static_cast<std::size_t>(op.micro_batch)];
  Message one;
  one.index = index;
  const core::MemoryLabel label("receive buffers");
  one.tensor = Tensor::empty({rows * sizes_->tokens, options_.hidden_size}, core::DType::kF32,
                             stream_.device());
  one.ticket = world_.receive(one.tensor, op.peer, op.tag);
  return one;
}

void Executor::post_receives() {
  const auto most = static_cast<std::size_t>(plan_.channels.receive_buffers);
  while (posted_ < receives_.size() && posted_ < received_ + most) {
    incoming_.push_back(post(receives_[posted_++]));
  }
}

void Executor::keep(Message message) {
  const Operation& op = list()[message.index];
  auto& into = op.kind == OpKind::kReceiveActivation ? inputs_ : gradients_;
  into[{op.micro_batch, op.stage}] = std::move(message.tensor);
}

void Executor::receive(std::size_t) {
  Message one = std::move(incoming_.front());
  incoming_.pop_front();
  wait(one);
  ++received_;
  keep(std::move(one));
  post_receives();
}

void Executor::send(std::size_t index) {
  const Operation& op = list()[index];
  auto& from = op.kind == OpKind::kSendActivation ? activations_out_ : gradients_out_;
  Message one;
  one.index = index;
  one.tensor = take(from, op);
  stream_.sync();
  one.ticket = world_.send(one.tensor, op.peer, op.tag);
  outgoing_.push_back(std::move(one));
  if (agenda_ != nullptr) return;
  while (outgoing_.size() > static_cast<std::size_t>(plan_.channels.send_buffers)) {
    wait(outgoing_.front());
    outgoing_.pop_front();
  }
}

void Executor::wait(Message& message) {
  const std::int64_t begin = since_begin();
  message.ticket.wait();
  idle(message.index, begin, since_begin());
}

/// The training thread has waited for the operation at `index` (none: list end).
void Executor::idle(std::size_t index, std::int64_t begin_ns, std::int64_t end_ns) {
  result_.waiting_ns += end_ns - begin_ns;
  if (index >= list().size() || end_ns - begin_ns < kShortestIdleNanos) return;
  result_.times.idles.push_back({index, {seconds(begin_ns), seconds(end_ns)}});
  if (options_.trace == nullptr) return;
  const Operation& op = list()[index];
  options_.trace->add(op.text().c_str(), "wait", begin_ns_ + begin_ns, begin_ns_ + end_ns,
                      op.micro_batch, op.stage, metrics::kLaneWaiting);
}

void Executor::record(std::size_t index, OpKind kind, std::int64_t begin_ns) {
  const std::int64_t end = since_begin();
  if (computes(kind)) result_.busy_ns += end - begin_ns;
  if (computes(kind) || kind == OpKind::kReduce) {
    result_.times.events.push_back({index, kind, {seconds(begin_ns), seconds(end)}});
  }
  if (options_.trace == nullptr) return;
  const Operation& op = list()[index];
  const bool message = op.sends() || op.receives() || kind == OpKind::kReduce;
  options_.trace->add(op_name(kind), message ? "comm" : "compute", begin_ns_ + begin_ns,
                      begin_ns_ + end, op.micro_batch, op.stage,
                      message ? metrics::kLaneComm : metrics::kLaneCompute);
}

/// Into the trace, beside what was measured: when the plan has each forward and backward.
void Executor::record_predicted() {
  if (options_.trace == nullptr || plan_.predicted.empty()) return;
  const auto& spans = plan_.predicted[static_cast<std::size_t>(world_.rank())];
  const auto parts = laid_apart(list(), spans, seconds(since_begin()));
  for (const auto& [index, span] : parts) {
    const Operation& op = list()[index];
    const auto ns = [&](double s) {
      return begin_ns_ + static_cast<std::int64_t>(s * kNanosPerSecond);
    };
    options_.trace->add(op_name(op.kind), "predicted", ns(span.begin), ns(span.end), op.micro_batch,
                        op.stage, metrics::kLanePredicted);
  }
}

}  // namespace rw::pipeline
