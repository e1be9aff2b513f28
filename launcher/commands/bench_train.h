// Part of Ropewalk, MIT licence.
#pragma once
#include <string>
#include <vector>

namespace rw::launcher {

struct BenchTrainOptions {
  std::string recipe;
  std::vector<std::string> overrides;  // key.sub=value
  int steps = 10;                      // measured, after two that warm up
  bool random_data = false;            // random tokens instead of the recipe's corpora
  bool serve = false;                  // obey lines of JSON on stdin
  bool json = false;
};

/// Runs steps of a recipe on the trainer that `train` uses, without a run's folder, checkpoints or
/// validation, and prints where a step's time went, part by part, beside the least time that this
/// machine allows for the part. On several ranks: the mean. Returns the exit code.
///
/// With `serve` (one rank), obeys lines of JSON on stdin as benchmarks/peers/llama_torch.py does,
/// each answered by one line: {"do": "steps", "count": N}, {"do": "gemm"}, {"do": "memory"},
/// {"do": "reset_memory"}. Throws Error{kUsage} for another line.
int run_bench_train(const BenchTrainOptions& options);

}  // namespace rw::launcher
