// Part of Ropewalk, MIT licence.
// The attributes of a corpus: whole but for one or more of them, which are numbers or texts of the
// input's choice, or gone. HDF5's own parser is not what is looked at here.
#include <hdf5.h>

#include <array>
#include <filesystem>
#include <string>

#include "fuzz/outcome.h"
#include "store/corpus_file.h"
#include "store/corpus_file_writer.h"

namespace {

using namespace rw;

constexpr std::array kAttributes{"schema_version", "endian",           "builder",
                                 "tokenizer_name", "tokenizer_sha256", "vocab_size",
                                 "end_of_text",    "text_bytes",       "content_sha256",
                                 "documents",      "attributes_sha256"};

/// Takes numbers off an input, zeros once it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  std::int64_t number() {
    std::uint64_t out = 0;
    for (int i = 0; i < 8; ++i) out = out << 8U | byte();
    return static_cast<std::int64_t>(out);
  }
  std::string text() {
    std::string out;
    for (int left = byte(); left > 0; --left) out += static_cast<char>(byte());
    return out;
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

void put_number(hid_t file, const char* name, std::int64_t value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_INT64, &value);
  H5Aclose(attribute);
  H5Sclose(space);
}

void put_text(hid_t file, const char* name, const std::string& value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, value.size() + 1);
  const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, value.c_str());
  H5Aclose(attribute);
  H5Tclose(type);
  H5Sclose(space);
}

void change_attributes(const std::string& path, Input input) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  while (!input.empty()) {
    const char* name = kAttributes.at(input.byte() % kAttributes.size());
    if (H5Aexists(file, name) > 0) H5Adelete(file, name);
    switch (input.byte() % 3) {
      case 0:
        put_number(file, name, input.number());
        break;
      case 1:
        put_text(file, name, input.text());
        break;
      default:
        break;  // gone
    }
  }
  H5Fclose(file);
}

std::string whole_corpus() {
  const fuzz::ScratchFile file("whole.h5");
  {
    store::CorpusWriter writer(file.path(), {300, 256, "bytes", "{}"});
    const std::array<std::int32_t, 3> ids{65, 66, 256};
    writer.add(ids, store::hash_document("AB"), 2);
    writer.finish();
  }
  std::ifstream in(file.path(), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string whole = whole_corpus();
  static const fuzz::ScratchFile file("corpus.h5");
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  file.put(whole);
  change_attributes(file.path(), Input(data, size));
  return fuzz::taken_or_refused([&] { store::CorpusFile(file.path()).verify(); });
}
