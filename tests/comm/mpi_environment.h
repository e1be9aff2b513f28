// Part of Ropewalk, MIT licence.
#pragma once
#include <gtest/gtest.h>

#include <memory>

#include "comm/session.h"

namespace rw::test {

/// MPI for a whole test program: one that includes this runs under mpirun. Chunks are short, so that
/// messages travel in pieces; when a rank fails, the others wait for it for a while only.
class MpiEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    constexpr std::size_t kChunkBytes = 64 << 10;
    session_ = std::make_unique<comm::MpiSession>(kChunkBytes);
    session_->world().set_peer_timeout(30);
  }
  void TearDown() override { session_.reset(); }
  comm::MpiSession& session() { return *session_; }

 private:
  std::unique_ptr<comm::MpiSession> session_;
};

// gtest owns it; made before main() so that it is set up before the first test.
inline MpiEnvironment& mpi_environment = static_cast<MpiEnvironment&>(
    *::testing::AddGlobalTestEnvironment(std::make_unique<MpiEnvironment>().release()));

inline comm::MpiSession& mpi_session() { return mpi_environment.session(); }

}  // namespace rw::test
