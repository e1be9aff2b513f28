// Part of Ropewalk, MIT licence.
#include "comm/mpi_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace rw::comm {
namespace {

using core::Error;
using core::ErrorKind;

std::string mpi_error_text(int code) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

void MpiRequests::add(MPI_Request request, const MpiMessage& message) {
  requests_.push_back(request);
  messages_.push_back(message);
}

bool MpiRequests::look() {
  if (requests_.empty()) return false;
  const auto count = static_cast<int>(requests_.size());
  ended_.resize(requests_.size());
  statuses_.resize(requests_.size());
  int ended = 0;
  int code = MPI_SUCCESS;
  // Open MPI makes progress after it has looked: what that brought is seen by the second look.
  for (int looks = 0; looks < 2 && ended == 0 && code == MPI_SUCCESS; ++looks) {
    code = MPI_Testsome(count, requests_.data(), &ended, ended_.data(), statuses_.data());
  }
  if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) {
    for (const MpiMessage& message : messages_) message.owner->fail(code, "MPI_Testsome");
    return false;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(ended, 0)); ++i) {
    MpiMessage& message = messages_[static_cast<std::size_t>(ended_[i])];
    const MPI_Status& status = statuses_[i];  // its error is set only when one of them failed
    message.owner->end(message, code == MPI_SUCCESS ? MPI_SUCCESS : status.MPI_ERROR, status);
    message.owner = nullptr;
  }
  if (ended > 0) forget_ended();
  return ended > 0;
}

void MpiRequests::forget_ended() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    if (messages_[i].owner == nullptr) continue;
    requests_[kept] = requests_[i];
    messages_[kept++] = messages_[i];
  }
  requests_.resize(kept);
  messages_.resize(kept);
}

bool MpiRequests::sending() const {
  return std::any_of(messages_.begin(), messages_.end(), [](const auto& m) { return m.sends; });
}

void MpiRequests::cancel_receives() {
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    if (messages_[i].sends) continue;
    MPI_Cancel(&requests_[i]);
    MPI_Request_free(&requests_[i]);
    messages_[i].owner->drop();
    messages_[i].owner = nullptr;
  }
  forget_ended();
}

Error MpiIo::error_of(int code, const char* call, int peer) const {
  return {ErrorKind::kComm,
          fmt::format("{} rank {}: {}", call, job_rank(peer), mpi_error_text(code))};
}

void MpiIo::send(const void* from, std::size_t bytes, int to, int tag) {
  const auto* at = static_cast<const std::byte*>(from);
  do {
    const std::size_t n = std::min(bytes, requests_->chunk_bytes());
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = MPI_Isend(at, static_cast<int>(n), MPI_BYTE, to, tag, group_, &request);
    if (code != MPI_SUCCESS) throw error_of(code, "send to", to);
    requests_->add(request, {this, n, to, true});
    requests_->sent().fetch_add(n, std::memory_order_relaxed);
    ++under_way_;
    at += n;
    bytes -= n;
  } while (bytes > 0);
}

void MpiIo::receive(void* to, std::size_t bytes, int from, int tag) {
  auto* at = static_cast<std::byte*>(to);
  do {
    const std::size_t n = std::min(bytes, requests_->chunk_bytes());
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = MPI_Irecv(at, static_cast<int>(n), MPI_BYTE, from, tag, group_, &request);
    if (code != MPI_SUCCESS) throw error_of(code, "receive from", from);
    requests_->add(request, {this, n, from, false});
    ++under_way_;
    at += n;
    bytes -= n;
  } while (bytes > 0);
}

bool MpiIo::progress() {
  if (error_) throw Error(*std::exchange(error_, std::nullopt));
  return std::exchange(moved_, false);
}

void MpiIo::end(const MpiMessage& message, int code, const MPI_Status& status) {
  --under_way_;
  moved_ = true;
  if (error_) return;  // the first one is told
  if (code != MPI_SUCCESS) {
    error_ = error_of(code, message.sends ? "send to" : "receive from", message.peer);
    return;
  }
  if (message.sends) return;
  int got = 0;
  MPI_Get_count(&status, MPI_BYTE, &got);
  if (static_cast<std::size_t>(got) == message.bytes) return;
  error_ = Error(ErrorKind::kComm, fmt::format("message from rank {}: got {} bytes, want {}",
                                               job_rank(message.peer), got, message.bytes));
}

void MpiIo::fail(int code, const char* call) {
  if (!error_) error_ = Error(ErrorKind::kComm, fmt::format("{}: {}", call, mpi_error_text(code)));
}

std::string MpiIo::absent() const {
  std::set<int> peers;
  for (const MpiMessage& message : requests_->messages()) {
    if (message.owner == this) peers.insert(job_rank(message.peer));
  }
  std::string text;
  for (const int peer : peers) text += fmt::format("{}rank {}", text.empty() ? "" : ", ", peer);
  return text;
}

}  // namespace rw::comm
