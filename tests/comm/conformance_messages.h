// Part of Ropewalk, MIT licence.
#pragma once
#include "tests/comm/conformance_group.h"

namespace rw::comm::conformance {

TEST_P(ConformanceTest, SendsAroundTheRing) {
  run([](Communicator& world) {
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    const Tensor out = Tensor::of({2}, {static_cast<float>(world.rank()), 0.25F});
    Tensor in = Tensor::zeros({2});
    Ticket received = world.receive(in, previous, 9);
    Ticket sent = world.send(out, next, 9);
    received.wait();
    sent.wait();
    EXPECT_EQ(core::to_floats(in), (std::vector<float>{static_cast<float>(previous), 0.25F}));
  });
}

/// What a rank has in memory is then a matter of its own program, not of when others look.
TEST_P(ConformanceTest, HoldsNoTensorOnceItsTicketIsDone) {
  run([](Communicator& world) {
    constexpr std::int64_t kElems = 64 << 10;  // larger than what a hub does in the call itself
    const core::OwnArena arena;
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    std::vector<Ticket> tickets;
    for (int round = 0; round < 20; ++round) {
      Tensor out = Tensor::zeros({kElems});
      Tensor in = Tensor::zeros({kElems});
      Tensor sum = Tensor::zeros({kElems});
      tickets.push_back(world.receive(in, previous, round));
      tickets.push_back(world.all_reduce_sum(sum));
      tickets.push_back(world.send(out, next, round));
      for (auto ticket = tickets.end() - 3; ticket != tickets.end(); ++ticket) ticket->wait();
      out = in = sum = Tensor();
      EXPECT_EQ(arena.memory().live_bytes, 0U) << "round " << round;
    }
  });
}

TEST_P(ConformanceTest, MatchesByTagWhateverTheOrder) {
  run([](Communicator& world) {
    const int last = world.size() - 1;
    constexpr int kHighest = (1 << 20) - 1;
    std::vector<Ticket> tickets;
    const Tensor a = Tensor::of({1}, {1});
    const Tensor b = Tensor::of({1}, {2});
    Tensor got_a = Tensor::zeros({1});
    Tensor got_b = Tensor::zeros({1});
    if (world.rank() == 0) {
      tickets.push_back(world.send(a, last, 0));
      tickets.push_back(world.send(b, last, kHighest));
    }
    if (world.rank() == last) {
      world.receive(got_b, 0, kHighest).wait();
      world.receive(got_a, 0, 0).wait();
      EXPECT_EQ(core::to_floats(got_a), (std::vector<float>{1}));
      EXPECT_EQ(core::to_floats(got_b), (std::vector<float>{2}));
    }
    for (auto& ticket : tickets) ticket.wait();
    EXPECT_FALSE(world.rank() == last && core::to_floats(got_a)[0] != 1);
  });
}

TEST_P(ConformanceTest, WaitsForWhicheverMessageComesFirst) {
  run([](Communicator& world) {
    if (world.size() == 1) return;
    const int last = world.size() - 1;
    if (world.rank() ==
        last) {  // sends the second one first, and the first one once that is through
      world.send(Tensor::of({1}, {2}), 0, 2).wait();
      Tensor answer = Tensor::zeros({1});
      world.receive(answer, 0, 3).wait();
      world.send(Tensor::of({1}, {1}), 0, 1).wait();
    }
    if (world.rank() == 0) {
      Tensor first = Tensor::zeros({1});
      Tensor second = Tensor::zeros({1});
      Ticket of_first = world.receive(first, last, 1);
      Ticket of_second = world.receive(second, last, 2);
      while (true) {
        const auto seen = world.events();
        if (of_second.done()) break;
        world.wait_event(seen, -1);
      }
      EXPECT_EQ(core::to_floats(second), (std::vector<float>{2}));
      EXPECT_FALSE(of_first.done());
      world.wait_event(world.events(), 0);  // no time at all: comes back
      world.send(second, last, 3).wait();
      of_first.wait();
      EXPECT_EQ(core::to_floats(first), (std::vector<float>{1}));
    }
  });
}

TEST_P(ConformanceTest, MatchesOneTagInCallOrder) {
  run([](Communicator& world) {
    constexpr int kMessages = 100;
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    std::vector<Tensor> out;
    std::vector<Tensor> in;
    std::vector<Ticket> tickets;
    for (int i = 0; i < kMessages; ++i) {
      out.push_back(Tensor::of({1}, {static_cast<float>(world.rank() * 1000 + i)}));
      in.push_back(Tensor::zeros({1}));
    }
    for (auto& tensor : out) tickets.push_back(world.send(tensor, next, 4));
    for (auto& tensor : in) tickets.push_back(world.receive(tensor, previous, 4));
    for (auto& ticket : tickets) ticket.wait();
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_EQ(core::to_floats(in[static_cast<std::size_t>(i)])[0],
                static_cast<float>(previous * 1000 + i));
    }
  });
}

TEST_P(ConformanceTest, ASelfSendMayBeWaitedForFirst) {
  run([](Communicator& world) {
    Tensor out = floats(awkward(world.rank(), 100000));
    world.send(out, world.rank(), 5).wait();
    core::Stream stream;
    core::fill_zero(out, stream);
    Tensor in = Tensor::zeros({100000});
    world.receive(in, world.rank(), 5).wait();
    EXPECT_TRUE(same_bits(core::to_floats(in), awkward(world.rank(), 100000)));
  });
}

TEST_P(ConformanceTest, ASelfReceiveMayBePostedFirst) {
  run([](Communicator& world) {
    Tensor in = Tensor::zeros({1});
    Ticket received = world.receive(in, world.rank(), 6);
    EXPECT_FALSE(received.done());
    world.send(Tensor::of({1}, {7}), world.rank(), 6).wait();
    received.wait();
    EXPECT_EQ(core::to_floats(in), (std::vector<float>{7}));
  });
}

TEST_P(ConformanceTest, MessagesAndCollectivesMayInterleave) {
  run([](Communicator& world) {
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    const Tensor out = Tensor::of({1}, {static_cast<float>(world.rank())});
    Tensor in = Tensor::zeros({1});
    Tensor sum = Tensor::of({1}, {1});
    Ticket received = world.receive(in, previous, 1);
    Ticket added = world.all_reduce_sum(sum);
    // Even ranks meet the barrier before they send: neither waits for the other.
    Ticket sent = world.rank() % 2 == 1 ? world.send(out, next, 1) : Ticket();
    Ticket met = world.barrier();
    if (world.rank() % 2 == 0) sent = world.send(out, next, 1);
    met.wait();
    added.wait();
    sent.wait();
    received.wait();
    EXPECT_EQ(core::to_floats(in)[0], static_cast<float>(previous));
    EXPECT_EQ(core::to_floats(sum)[0], static_cast<float>(world.size()));
  });
}

TEST_P(ConformanceTest, SendsWhatIsLargeAndWhatIsEmpty) {
  run([](Communicator& world) {
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    for (const std::int64_t n : {0, 16383, 16384, 16385, 700001}) {
      const Tensor out = floats(awkward(world.rank(), n));
      Tensor in = Tensor::zeros({n});
      Ticket sent = world.send(out, next, 2);
      world.receive(in, previous, 2).wait();
      sent.wait();
      EXPECT_TRUE(same_bits(core::to_floats(in), awkward(previous, n))) << n;
    }
  });
}

TEST_P(ConformanceTest, DoneTurnsTrueByItself) {
  run([](Communicator& world) {
    Tensor sum = Tensor::of({1}, {2});
    Ticket ticket = world.all_reduce_sum(sum);
    while (!ticket.done()) std::this_thread::yield();
    EXPECT_EQ(core::to_floats(sum)[0], 2.0F * static_cast<float>(world.size()));
  });
}

TEST_P(ConformanceTest, AnEmptyTicketIsDone) {
  run([](Communicator&) {
    Ticket ticket;
    EXPECT_TRUE(ticket.done());
    ticket.wait();
  });
}

TEST_P(ConformanceTest, ADroppedTicketStillMovesItsMessage) {
  run([](Communicator& world) {
    Tensor sum = Tensor::of({1}, {3});
    { const Ticket dropped = world.all_reduce_sum(sum); }
    const int last = world.size() - 1;
    const Tensor out = Tensor::of({1}, {4});
    Tensor in = Tensor::zeros({1});
    if (world.rank() == 0) {
      const Ticket dropped = world.send(out, last, 3);
    }
    if (world.rank() == last) {
      world.receive(in, 0, 3).wait();
      EXPECT_EQ(core::to_floats(in)[0], 4.0F);
    }
    world.barrier().wait();
    world.barrier().wait();
  });
}

}  // namespace rw::comm::conformance
