// Part of Ropewalk, MIT licence.
#include "launcher/random_corpus.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "data/bytes_tokenizer.h"
#include "store/corpus_file_writer.h"

namespace rw::launcher {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSteps = 4;  // of different tokens, then they come again

/// A folder of its own, removed with all that is in it.
class ScratchFolder {
 public:
  ScratchFolder() : path_((fs::temp_directory_path() / "ropewalk-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw core::Error(core::ErrorKind::kStorage,
                        fmt::format("cannot make a folder {}: {}", path_, core::errno_text(errno)));
    }
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string file(const char* name) const { return (fs::path(path_) / name).string(); }

 private:
  std::string path_;
};

}  // namespace

std::shared_ptr<const data::Corpora> make_random_corpus(const recipe::Recipe& recipe) {
  const std::int64_t tokens =
      kSteps * recipe.train.global_batch_size * recipe.train.seq_len + recipe.train.seq_len + 1;
  const auto vocab = static_cast<std::uint64_t>(recipe.model.vocab_size);
  std::vector<std::int32_t> ids;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(tokens); ++i) {
    ids.push_back(static_cast<std::int32_t>(core::mix64(recipe.seed + i) % vocab));
  }
  const ScratchFolder folder;
  const std::string path = folder.file("random.h5");
  store::CorpusHeader header;
  header.vocab_size = recipe.model.vocab_size;
  header.tokenizer_name = data::kBytesName;
  header.tokenizer_json = data::make_bytes_tokenizer()->json();
  store::CorpusWriter writer(path, header);
  writer.add(ids, 0, tokens);
  writer.finish();
  return std::make_shared<data::Corpora>(std::vector<data::Source>{{path, 1.0}},
                                         recipe.train.seq_len);
}

}  // namespace rw::launcher
