// Part of Ropewalk, MIT licence.
#include "store/corpus_file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/build.h"
#include "core/error.h"
#include "store/corpus_file_hdf5.h"
#include "store/sha256.h"

namespace rw::store {

using core::Error;
using core::ErrorKind;

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

[[noreturn]] void storage_error(const std::string& path, const char* operation) {
  throw Error(ErrorKind::kStorage,
              fmt::format("{}: {}: {}; want a writable folder with free space: give another --out",
                          path, operation, core::errno_text(errno)));
}

struct DescriptorPolicy {
  using Native = int;
  static int none() { return -1; }
  static void close(int descriptor) noexcept { ::close(descriptor); }
};
using Descriptor = core::Handle<DescriptorPolicy>;

void sync_path(const std::string& path, int flags) {
  const Descriptor descriptor(::open(path.c_str(), flags | O_CLOEXEC));
  if (descriptor.get() < 0) storage_error(path, "open");
  if (::fsync(descriptor.get()) != 0) storage_error(path, "fsync");
}

/// The HDF5 file while it is being written; every failure is Error{kStorage}.
class Hdf5Output {
 public:
  explicit Hdf5Output(const std::string& path) : path_(path) {
    const hdf5::Properties access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_file_locking(access.get(), false, true);
    H5Pset_alignment(access.get(), 4096, 4096);  // arrays begin on pages of the map
    errno = 0;
    file_ = hdf5::File(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
    check(file_.get(), "create");
  }

  void number(const char* name, std::int64_t value) {
    const hdf5::Space space(H5Screate(H5S_SCALAR));
    const hdf5::Attribute attribute(
        H5Acreate2(file_.get(), name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT));
    check(attribute.get(), name);
    check(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value), name);
  }

  void text(const char* name, const std::string& value) {
    const hdf5::Type type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.get(), value.size() + 1);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    const hdf5::Space space(H5Screate(H5S_SCALAR));
    const hdf5::Attribute attribute(
        H5Acreate2(file_.get(), name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
    check(attribute.get(), name);
    check(H5Awrite(attribute.get(), type.get(), value.c_str()), name);
  }

  void group(const char* name) {
    const hdf5::Properties properties(H5Pcreate(H5P_GROUP_CREATE));
    H5Pset_obj_track_times(properties.get(), false);
    const hdf5::Group created(
        H5Gcreate2(file_.get(), name, H5P_DEFAULT, properties.get(), H5P_DEFAULT));
    check(created.get(), name);
  }

  /// A contiguous array, to be filled with write().
  hdf5::Dataset array(const char* name, hid_t type, std::size_t elements) {
    const hdf5::Properties properties(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_obj_track_times(properties.get(), false);
    H5Pset_layout(properties.get(), H5D_CONTIGUOUS);
    H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
    const hsize_t extent = elements;
    const hdf5::Space space(H5Screate_simple(1, &extent, nullptr));
    hdf5::Dataset dataset(H5Dcreate2(file_.get(), name, type, space.get(), H5P_DEFAULT,
                                     properties.get(), H5P_DEFAULT));
    check(dataset.get(), name);
    return dataset;
  }

  void write(const hdf5::Dataset& dataset, std::size_t first, std::size_t elements,
             const void* values) {
    const hsize_t start = first, count = elements;
    const hdf5::Type type(H5Dget_type(dataset.get()));
    const hdf5::Space in_file(H5Dget_space(dataset.get()));
    const hdf5::Space in_memory(H5Screate_simple(1, &count, nullptr));
    check(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr),
          "select");
    errno = 0;
    check(H5Dwrite(dataset.get(), type.get(), in_memory.get(), in_file.get(), H5P_DEFAULT, values),
          "write");
  }

  void flush() { check(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "flush"); }

 private:
  void check(std::int64_t result, const char* operation) const {
    if (result < 0) storage_error(path_, operation);
  }

  hdf5::Quiet quiet_;
  std::string path_;
  hdf5::File file_;
};

}  // namespace

struct CorpusWriter::State {
  std::string path, aside;
  CorpusHeader header;
  CorpusInfo info;
  Descriptor spool;
  std::vector<std::byte> buffer;
  std::vector<std::uint64_t> offsets{0}, hashes;

  void write_spool() {
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t wrote = ::write(spool.get(), buffer.data() + done, buffer.size() - done);
      if (wrote < 0 && errno != EINTR) storage_error(path, "write");
      if (wrote > 0) done += static_cast<std::size_t>(wrote);
    }
    buffer.clear();
  }

  /// Copies the spooled tokens into `output`; hashes them on the way.
  void copy_tokens(Hdf5Output& output, Sha256& content) {
    const auto width = static_cast<std::size_t>(info.token_bytes);
    const auto dataset = output.array("/docs/tokens", width == 2 ? H5T_STD_U16LE : H5T_STD_U32LE,
                                      static_cast<std::size_t>(info.tokens));
    const std::size_t total = static_cast<std::size_t>(info.tokens) * width;
    std::vector<std::byte> piece(kBufferBytes);
    for (std::size_t at = 0; at < total;) {
      const std::size_t want = std::min(piece.size(), total - at);
      std::size_t got = 0;
      while (got < want) {
        const ssize_t bytes =
            ::pread(spool.get(), piece.data() + got, want - got, static_cast<off_t>(at + got));
        if (bytes == 0 || (bytes < 0 && errno != EINTR)) storage_error(path, "read back");
        if (bytes > 0) got += static_cast<std::size_t>(bytes);
      }
      content.update(std::span<const std::byte>(piece.data(), want));
      output.write(dataset, at / width, want / width, piece.data());
      at += want;
    }
  }

  void write_file() {
    Hdf5Output output(aside);
    output.number("schema_version", hdf5::kSchemaVersion);
    output.text("endian", "little");
    output.text("builder", std::string("ropewalk ") + core::kVersion);
    output.text("tokenizer_name", info.tokenizer_name);
    output.text("tokenizer_sha256", info.tokenizer_sha256);
    output.number("vocab_size", info.vocab_size);
    output.number("end_of_text", info.end_of_text);
    output.number("text_bytes", info.text_bytes);
    output.group("/docs");
    output.group("/tokenizer");
    Sha256 content;
    copy_tokens(output, content);
    const auto fill = [&](const char* name, hid_t type, std::size_t count, const void* values) {
      output.write(output.array(name, type, count), 0, count, values);
    };
    fill("/docs/offsets", H5T_STD_U64LE, offsets.size(), offsets.data());
    fill("/docs/hash", H5T_STD_U64LE, hashes.size(), hashes.data());
    fill("/tokenizer/json", H5T_STD_U8LE, header.tokenizer_json.size(),
         header.tokenizer_json.data());
    content.update(std::as_bytes(std::span(offsets)));
    info.content_sha256 = content.finish_hex();
    output.text("content_sha256", info.content_sha256);
    output.flush();
  }
};

CorpusWriter::CorpusWriter(const std::string& path, CorpusHeader header)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.path = path;
  s.aside = path + ".writing";
  s.header = std::move(header);
  s.info.vocab_size = s.header.vocab_size;
  s.info.token_bytes = s.header.vocab_size <= 65536 ? 2 : 4;
  s.info.end_of_text = s.header.end_of_text;
  s.info.tokenizer_name = s.header.tokenizer_name;
  s.info.tokenizer_sha256 = sha256_hex(s.header.tokenizer_json);
  const std::string spool_path = path + ".tokens";
  s.spool = Descriptor(::open(spool_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (s.spool.get() < 0) storage_error(spool_path, "create");
  ::unlink(spool_path.c_str());  // nameless from here: nothing to clean up, however we end
}

CorpusWriter::~CorpusWriter() = default;

void CorpusWriter::add(std::span<const std::int32_t> ids, std::uint64_t hash,
                       std::int64_t text_bytes) {
  State& s = *state_;
  const auto append = [&](auto id) {
    const std::size_t at = s.buffer.size();
    s.buffer.resize(at + sizeof(id));
    std::memcpy(s.buffer.data() + at, &id, sizeof(id));
  };
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= s.info.vocab_size) {
      throw Error(ErrorKind::kBug, fmt::format("{}: token id {} for a vocabulary of {}", s.path, id,
                                               s.info.vocab_size));
    }
    if (s.info.token_bytes == 2) {
      append(static_cast<std::uint16_t>(id));
    } else {
      append(static_cast<std::uint32_t>(id));
    }
  }
  s.info.tokens += static_cast<std::int64_t>(ids.size());
  s.info.documents += 1;
  s.info.text_bytes += text_bytes;
  s.offsets.push_back(static_cast<std::uint64_t>(s.info.tokens));
  s.hashes.push_back(hash);
  if (s.buffer.size() >= kBufferBytes) s.write_spool();
}

std::int64_t CorpusWriter::documents() const { return state_->info.documents; }

CorpusInfo CorpusWriter::finish() {
  State& s = *state_;
  if (s.info.documents == 0) throw Error(ErrorKind::kBug, s.path + ": a corpus without documents");
  s.write_spool();
  try {
    s.write_file();
    sync_path(s.aside, O_RDONLY);
    if (::rename(s.aside.c_str(), s.path.c_str()) != 0) storage_error(s.path, "rename");
  } catch (...) {
    ::unlink(s.aside.c_str());
    throw;
  }
  const std::string folder = std::filesystem::path(s.path).parent_path().string();
  sync_path(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  return s.info;
}

}  // namespace rw::store
