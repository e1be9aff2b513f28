// Part of Ropewalk, MIT licence.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/local.h"
#include "comm/threads.h"
#include "data/corpus.h"
#include "data/order.h"
#include "kernels/threads.h"
#include "model/resolve.h"
#include "pipeline/trainer.h"
#include "store/corpus_file_writer.h"

namespace rw::pipeline::test {

/// A folder that goes with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ropewalk-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// A corpus in which each token mostly follows from the one before.
inline void write_corpus(const std::string& path, std::int64_t tokens, std::int64_t vocab) {
  store::CorpusWriter writer(path, {vocab, vocab - 1, "test", "{}"});
  std::vector<std::int32_t> ids;
  std::uint64_t state = 1;
  for (std::int64_t i = 0; i < tokens; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const auto noise = static_cast<std::int64_t>(state >> 62);
    ids.push_back(static_cast<std::int32_t>((i * 7 + noise) % (vocab - 1)));
  }
  writer.add(ids, 1, tokens);
  writer.finish();
}

/// A model of 8 layers that every layout up to 8 stages can train.
struct TinyJob {
  TempFolder folder;
  TrainerOptions options;
  data::Options data;

  explicit TinyJob(bool tied = false) {
    write_corpus(folder / "corpus.h5", 4000, 64);
    data.sources = {{folder / "corpus.h5", 1.0}};
    auto& model = options.model;
    model.hidden_size = 16;
    model.num_hidden_layers = 8;
    model.num_attention_heads = 4;
    model.num_key_value_heads = 2;
    model.intermediate_size = 32;
    model.vocab_size = 64;
    model.tie_word_embeddings = tied;
    options.seq_len = 12;
    options.micro_batch_size = 1;
    options.global_batch_size = 8;
    options.max_steps = 20;
    options.optimizer.lr = 0.01;
    options.seed = 5;
    model::resolve(model, options.seq_len);
  }

  TrainerParts parts(comm::Communicator& world) const {
    auto corpora = std::make_shared<data::Corpora>(data, options.seq_len);
    auto order = std::make_shared<data::Order>(std::vector<std::int64_t>{corpora->samples(0)},
                                               std::vector<double>{1.0}, "random", options.seed,
                                               options.global_batch_size);
    TrainerParts out{world, corpora, order};
    if (!data.validation.empty()) {
      out.validation =
          std::make_unique<data::Validation>(data, options.seq_len, options.micro_batch_size);
    }
    out.loader_threads = 1;
    out.prefetch_steps = 2;
    return out;
  }
};

using MakeTrainer = std::function<std::unique_ptr<core::Method>(comm::Communicator&)>;

/// Calls `body` on every rank; rank 0's trainer first.
inline void on_ranks(int ranks, const std::function<void(comm::Communicator&)>& body) {
  const auto each = [&](comm::Communicator& world) {
    kernels::set_threads(1);
    body(world);
  };
  if (ranks == 1) {
    each(*comm::make_local());
  } else {
    comm::run_threads(ranks, each);
  }
}

/// The results of the first steps, as rank 0 has them.
inline std::vector<core::StepResult> train(int ranks, int steps, const MakeTrainer& make) {
  std::vector<core::StepResult> out;
  on_ranks(ranks, [&](comm::Communicator& world) {
    const auto trainer = make(world);
    for (int n = 1; n <= steps; ++n) {
      const auto result = trainer->step(n);
      if (world.rank() == 0) out.push_back(result);
    }
  });
  return out;
}

}  // namespace rw::pipeline::test
