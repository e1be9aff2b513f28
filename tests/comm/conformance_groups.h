// Part of Ropewalk, MIT licence.
#pragma once
#include "tests/comm/conformance_group.h"

namespace rw::comm::conformance {

TEST_P(ConformanceTest, GathersTextsOfAnyLength) {
  run([](Communicator& world) {
    const auto text_of = [](int rank) {
      return std::string(static_cast<std::size_t>(rank) * 70000, static_cast<char>('a' + rank));
    };
    const auto all = world.gather_text(text_of(world.rank()));
    ASSERT_EQ(all.size(), static_cast<std::size_t>(world.size()));
    for (int r = 0; r < world.size(); ++r) {
      EXPECT_EQ(all[static_cast<std::size_t>(r)], text_of(r)) << r;
    }
    EXPECT_EQ(world.gather_text(""), std::vector<std::string>(all.size()));
  });
}

TEST_P(ConformanceTest, ASubgroupHasItsOwnRankOrder) {
  run([](Communicator& world) {
    std::vector<int> members;  // all but rank 1, the last one first
    for (int r = world.size() - 1; r >= 0; --r) {
      if (r != 1) members.push_back(r);
    }
    const auto group = world.subgroup(members);
    if (world.rank() == 1) {
      EXPECT_EQ(group, nullptr);
      return;
    }
    ASSERT_NE(group, nullptr);
    EXPECT_EQ(group->size(), static_cast<int>(members.size()));
    EXPECT_EQ(members[static_cast<std::size_t>(group->rank())], world.rank());
    Tensor tensor = floats(awkward(group->rank(), 3000));
    group->all_reduce_sum(tensor).wait();
    EXPECT_TRUE(same_bits(core::to_floats(tensor), sum_in_order(group->size(), 3000)));
    EXPECT_EQ(group->gather_text(std::to_string(world.rank())).front(),
              std::to_string(members.front()));
  });
}

TEST_P(ConformanceTest, SubgroupsOfSubgroupsSendByTheirOwnRanks) {
  run([](Communicator& world) {
    std::vector<int> half;
    for (int r = world.rank() % 2; r < world.size(); r += 2) half.push_back(r);
    // Two disjoint groups take two calls: all ranks make both.
    std::vector<int> even;
    std::vector<int> odd;
    for (int r = 0; r < world.size(); ++r) (r % 2 == 0 ? even : odd).push_back(r);
    auto group = world.subgroup(even);
    if (!odd.empty()) {
      auto other = world.subgroup(odd);
      if (group == nullptr) group = std::move(other);
    }
    ASSERT_NE(group, nullptr);
    const std::vector<int> first{0};
    const auto alone = group->subgroup(first);
    EXPECT_EQ(alone == nullptr, group->rank() != 0);
    const int last = group->size() - 1;
    Tensor in = Tensor::zeros({1});
    Ticket sent;
    const Tensor out = Tensor::of({1}, {static_cast<float>(world.rank())});
    if (group->rank() == 0) sent = group->send(out, last, 0);
    if (group->rank() == last) {
      group->receive(in, 0, 0).wait();
      EXPECT_EQ(core::to_floats(in)[0], static_cast<float>(half.front()));
    }
    sent.wait();
    if (alone != nullptr) {
      EXPECT_EQ(alone->gather_text("x"), (std::vector<std::string>{"x"}));
    }
  });
}

TEST_P(ConformanceTest, ADuplicateKeepsItsMessagesApart) {
  run([](Communicator& world) {
    const auto other = world.duplicate();
    EXPECT_EQ(other->rank(), world.rank());
    EXPECT_EQ(other->size(), world.size());
    const Tensor a = Tensor::of({1}, {1});
    const Tensor b = Tensor::of({1}, {2});
    Tensor got_a = Tensor::zeros({1});
    Tensor got_b = Tensor::zeros({1});
    std::vector<Ticket> tickets;
    tickets.push_back(world.send(a, world.rank(), 7));
    tickets.push_back(other->send(b, world.rank(), 7));
    tickets.push_back(other->receive(got_b, world.rank(), 7));
    tickets.push_back(world.receive(got_a, world.rank(), 7));
    for (auto& ticket : tickets) ticket.wait();
    EXPECT_EQ(core::to_floats(got_a)[0], 1.0F);
    EXPECT_EQ(core::to_floats(got_b)[0], 2.0F);
  });
}

TEST_P(ConformanceTest, ADuplicateMayBeUsedByAnotherThread) {
  run([](Communicator& world) {
    const auto other = world.duplicate();
    const auto work = [](Communicator& group, float mine) {
      for (int i = 0; i < 50; ++i) {
        Tensor sum = Tensor::of({1}, {mine});
        group.all_reduce_sum(sum).wait();
        EXPECT_EQ(core::to_floats(sum)[0], mine * static_cast<float>(group.size()));
      }
    };
    std::thread thread([&] { work(*other, 2); });
    work(world, 1);
    thread.join();
  });
}

TEST_P(ConformanceTest, RefusesAMessageOfAnotherLength) {
  run([](Communicator& world) {
    const auto own = world.duplicate();
    Tensor in = Tensor::zeros({3});
    Ticket received = own->receive(in, own->rank(), 0);
    const Ticket sent = own->send(Tensor::of({2}, {1, 2}), own->rank(), 0);
    EXPECT_EQ(error_of([&] { received.wait(); }).kind(), ErrorKind::kComm);
  });
}

TEST_P(ConformanceTest, ASilentSenderIsNamed) {
  run([](Communicator& world) {
    const auto own = world.duplicate();
    const int last = own->size() - 1;
    if (own->rank() == 0) {
      own->set_peer_timeout(0.05);
      Tensor in = Tensor::zeros({1});
      Ticket received = own->receive(in, last, 0);
      const auto error = error_of([&] { received.wait(); });
      EXPECT_EQ(error.kind(), ErrorKind::kHang);
      EXPECT_THAT(error.what(), HasSubstr("rank " + std::to_string(last)));
    }
    world.barrier().wait();
  });
}

TEST_P(ConformanceTest, ThoseWhoMissACollectiveAreNamed) {
  run([](Communicator& world) {
    const auto own = world.duplicate();
    if (own->rank() == 0 && own->size() > 1) {
      own->set_peer_timeout(0.05);
      Ticket met = own->barrier();
      const auto error = error_of([&] { met.wait(); });
      EXPECT_EQ(error.kind(), ErrorKind::kHang);
      for (int r = 1; r < own->size(); ++r) {
        EXPECT_THAT(error.what(), HasSubstr("rank " + std::to_string(r)));
      }
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("rank 0")));
    }
    EXPECT_EQ(world.gather_text("on").size(), static_cast<std::size_t>(world.size()));
  });
}

TEST_P(ConformanceTest, ATimeLimitDoesNotFailWhatComesInTime) {
  run([](Communicator& world) {
    const auto own = world.duplicate();
    own->set_peer_timeout(30);
    Tensor sum = Tensor::of({1}, {1});
    own->all_reduce_sum(sum).wait();
    own->set_peer_timeout(0);
    own->barrier().wait();
    EXPECT_EQ(core::to_floats(sum)[0], static_cast<float>(own->size()));
  });
}

TEST_P(ConformanceTest, RefusesWrongArguments) {
  run([](Communicator& world) {
    Tensor x = Tensor::zeros({2});
    Tensor half = Tensor::zeros({2}, DType::kBF16);
    const auto message = [](const std::function<void()>& call) {
      return std::string(error_of(call).what());
    };
    EXPECT_THAT(message([&] { (void)world.send(x, 0, 1 << 20); }),
                HasSubstr("send: got tag 1048576"));
    EXPECT_THAT(message([&] { (void)world.receive(x, 0, -1); }), HasSubstr("receive: got tag -1"));
    EXPECT_THAT(message([&] { (void)world.send(x, world.size(), 0); }),
                HasSubstr("send: got rank"));
    EXPECT_THAT(message([&] { (void)world.broadcast(x, -1); }),
                HasSubstr("broadcast: got rank -1"));
    EXPECT_THAT(message([&] { (void)world.all_reduce_sum(half); }), HasSubstr("want f32"));
    Tensor all = Tensor::zeros({2 * world.size() + 1});
    EXPECT_THAT(message([&] { (void)world.all_gather(x, all); }), HasSubstr("equal parts"));
    const std::vector<int> twice{0, 0};
    EXPECT_THAT(message([&] { (void)world.subgroup(twice); }), HasSubstr("rank 0 twice"));
    world.barrier().wait();  // refused calls do not count
  });
}

TEST_P(ConformanceTest, TensorsMayLieOnADevice) {
  const test::FakeDevice fake;
  run([](Communicator& world) {
    const auto device = test::FakeDevice::device();
    for (const std::int64_t n : {5, 3001}) {
      Tensor sum = floats(awkward(world.rank(), n), device);
      world.all_reduce_sum(sum).wait();
      EXPECT_TRUE(same_bits(core::to_floats(sum), sum_in_order(world.size(), n)));
    }
    const Tensor mine = floats({static_cast<float>(world.rank())}, device);
    Tensor all = Tensor::zeros({world.size()}, DType::kF32, device);
    world.all_gather(mine, all).wait();
    std::vector<float> want(static_cast<std::size_t>(world.size()));
    std::iota(want.begin(), want.end(), 0.0F);
    EXPECT_EQ(core::to_floats(all), want);
    world.broadcast(all, 0).wait();
    Tensor in = Tensor::zeros({1}, DType::kF32, device);
    Ticket received = world.receive(in, (world.rank() + 1) % world.size(), 0);
    world.send(mine, (world.rank() + world.size() - 1) % world.size(), 0).wait();
    received.wait();
    EXPECT_EQ(core::to_floats(in)[0], static_cast<float>((world.rank() + 1) % world.size()));
  });
}

}  // namespace rw::comm::conformance
