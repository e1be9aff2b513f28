// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "comm/communicator.h"
#include "pipeline/topology.h"
#include "pipeline/trainer.h"

namespace rw::pipeline {

/// How thoroughly a machine is measured.
struct ProfileOptions {
  int repeats = 5;  // of every operation and message; the median counts
  double memory_bytes =
      0;  // of each rank for training; 0: an equal share of what is free on its host
};

/// Measures a cluster for a recipe, all ranks at once where they compute at once in training, one pair
/// after the other on the links:
///   stages  forward, backward-input and backward-weight of one micro-batch (B x T as in training) of
///           each stage of layers, and of head and loss, on every rank, on random numbers; the first run
///           is not counted; stages with as many layers are measured once
///   links   every ordered pair: half of an empty round trip, and the slope between messages of 64 KiB
///           and of up to 4 MiB that a few bytes answer
///   memory  micro-batches that fit: (memory - weights, gradients and optimizer of the largest stage) /
///           what a stage keeps of one micro-batch, at least 1
/// The result is the same on every rank. Collective. Takes about (3 · repeats) forwards and backwards of
/// every kind of stage, and ranks² · repeats messages.
Topology measure_topology(const TrainerOptions& options, const ProfileOptions& how,
                          comm::Communicator& world);

}  // namespace rw::pipeline
