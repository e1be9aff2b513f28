// Part of Ropewalk, MIT licence.
#include "store/corpus_file.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "store/corpus_file_digest.h"
#include "store/corpus_file_hdf5.h"
#include "store/mapped_files.h"
#include "store/regular_file.h"
#include "store/sha256.h"

namespace rw::store {

using core::Error;
using core::ErrorKind;

namespace {

constexpr std::int64_t kVerifyTokens = 1 << 20;
constexpr std::int64_t kSampledDocuments = 64;
constexpr std::size_t kMostTextBytes = 1 << 16;  // HDF5 keeps longer attributes elsewhere

[[noreturn]] void malformed(const std::string& path, const std::string& what) {
  throw Error(
      ErrorKind::kDataMalformed,
      fmt::format("{}: {}; want a whole corpus made by `ropewalk data build`: build it again", path,
                  what));
}

RegularFile open_corpus(const std::string& path) {
  try {
    return open_regular(path);
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("{}; make a corpus with `ropewalk data build`, or correct "
                            "data.sources",
                            error.what()));
  }
}

std::uint64_t load_u64(std::span<const std::byte> array, std::int64_t i) {
  std::uint64_t value = 0;
  std::memcpy(&value, array.data() + 8 * i, 8);
  return value;
}

}  // namespace

/// The whole file, mapped read-only.
class CorpusFile::Mapping {
 public:
  explicit Mapping(const std::string& path) {
    const RegularFile file = open_corpus(path);
    bytes_ = static_cast<std::size_t>(file.bytes);
    if (bytes_ == 0) {
      throw Error(ErrorKind::kDataMissing,
                  fmt::format("{}: the corpus is empty (0 bytes); build it again", path));
    }
    address_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.descriptor.get(), 0);
    if (address_ == MAP_FAILED) {
      throw Error(errno == ENOMEM ? ErrorKind::kDevice : ErrorKind::kStorage,
                  fmt::format("{}: cannot map the {} bytes of the corpus into memory: {}; is the "
                              "address space limited (ulimit -v)?",
                              path, bytes_, core::errno_text(errno)));
    }
    watched_.emplace(path, address_, bytes_);
  }
  ~Mapping() {
    watched_.reset();
    ::munmap(address_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> span() const {
    return {static_cast<const std::byte*>(address_), bytes_};
  }

 private:
  void* address_ = nullptr;
  std::size_t bytes_ = 0;
  std::optional<MappedFile> watched_;
};

/// Takes the facts out of an open HDF5 file.
struct CorpusFile::Reader {
  const std::string& path;
  hid_t file;
  std::span<const std::byte> mapped;

  hdf5::Attribute attribute(const char* name) const {
    hdf5::Attribute found(H5Aopen(file, name, H5P_DEFAULT));
    if (found.get() < 0) malformed(path, fmt::format("has no attribute `{}`", name));
    return found;
  }

  bool has(const char* name) const { return H5Aexists(file, name) > 0; }

  std::int64_t number(const char* name) const {
    const auto found = attribute(name);
    const hdf5::Type type(H5Aget_type(found.get()));
    const hdf5::Space space(H5Aget_space(found.get()));
    std::int64_t value = 0;
    if (H5Tget_class(type.get()) != H5T_INTEGER || H5Sget_simple_extent_npoints(space.get()) != 1 ||
        H5Aread(found.get(), H5T_NATIVE_INT64, &value) < 0) {
      malformed(path, fmt::format("attribute `{}` is not one integer", name));
    }
    return value;
  }

  std::string text(const char* name) const {
    const auto found = attribute(name);
    const hdf5::Type type(H5Aget_type(found.get()));
    const hdf5::Space space(H5Aget_space(found.get()));
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
        H5Sget_simple_extent_npoints(space.get()) != 1) {
      malformed(path, fmt::format("attribute `{}` is not one string of fixed length", name));
    }
    const std::size_t bytes = H5Tget_size(type.get());
    if (bytes > kMostTextBytes) {
      malformed(path, fmt::format("attribute `{}` has {} bytes", name, bytes));
    }
    std::string value(bytes, '\0');
    if (H5Aread(found.get(), type.get(), value.data()) < 0) {
      malformed(path, fmt::format("attribute `{}` cannot be read", name));
    }
    value.resize(std::strlen(value.c_str()));
    return value;
  }

  std::span<const std::byte> array(const char* name, std::size_t element_bytes) const {
    const hdf5::Dataset dataset(H5Dopen2(file, name, H5P_DEFAULT));
    if (dataset.get() < 0) malformed(path, fmt::format("has no dataset `{}`", name));
    const hdf5::Type type(H5Dget_type(dataset.get()));
    const hdf5::Space space(H5Dget_space(dataset.get()));
    const hdf5::Properties properties(H5Dget_create_plist(dataset.get()));
    if (H5Tget_class(type.get()) != H5T_INTEGER || H5Tget_size(type.get()) != element_bytes ||
        (element_bytes > 1 && H5Tget_order(type.get()) != H5T_ORDER_LE) ||
        H5Tget_sign(type.get()) != H5T_SGN_NONE) {
      malformed(path, fmt::format("dataset `{}` is not of {}-byte unsigned little-endian integers",
                                  name, element_bytes));
    }
    if (H5Pget_layout(properties.get()) != H5D_CONTIGUOUS ||
        H5Pget_external_count(properties.get()) != 0 ||
        H5Sget_simple_extent_ndims(space.get()) != 1) {
      malformed(path, fmt::format("dataset `{}` is not one contiguous array", name));
    }
    hsize_t elements = 0;
    H5Sget_simple_extent_dims(space.get(), &elements, nullptr);
    if (elements == 0) return {};
    const haddr_t begin = H5Dget_offset(dataset.get());
    const bool too_many = elements > mapped.size() / element_bytes;
    if (begin == HADDR_UNDEF || too_many || begin > mapped.size() - elements * element_bytes ||
        H5Dget_storage_size(dataset.get()) != elements * element_bytes) {
      malformed(path, fmt::format("dataset `{}` claims {} elements of {} bytes, which the file of "
                                  "{} bytes does not hold",
                                  name, elements, element_bytes, mapped.size()));
    }
    return mapped.subspan(begin, elements * element_bytes);
  }
};

CorpusFile::CorpusFile(const std::string& path)
    : path_(path), mapping_(std::make_unique<Mapping>(path)) {
  const hdf5::Quiet quiet;
  const hdf5::Properties access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_file_locking(access.get(), false, true);  // read-only network file systems refuse locks
  const hdf5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  if (file.get() < 0) malformed(path, "is truncated, or not an HDF5 file");
  const Reader reader{path_, file.get(), mapping_->span()};
  read_attributes(reader);
  tokens_ = reader.array("/docs/tokens", static_cast<std::size_t>(info_.token_bytes));
  offsets_ = reader.array("/docs/offsets", 8);
  hashes_ = reader.array("/docs/hash", 8);
  tokenizer_ = reader.array("/tokenizer/json", 1);
  info_.tokens = static_cast<std::int64_t>(tokens_.size()) / info_.token_bytes;
  info_.documents = static_cast<std::int64_t>(hashes_.size()) / 8;
  check_arrays();
  check_attributes();
}

void CorpusFile::read_attributes(const Reader& reader) {
  const std::int64_t schema = reader.number("schema_version");
  if (schema != kSchemaVersion) {
    malformed(path_, fmt::format("has schema_version {}, want {}", schema, kSchemaVersion));
  }
  const std::string endian = reader.text("endian");
  if (endian != kEndian) malformed(path_, fmt::format("has endian `{}`, want {}", endian, kEndian));
  info_.vocab_size = reader.number("vocab_size");
  info_.end_of_text = reader.number("end_of_text");
  info_.text_bytes = reader.number("text_bytes");
  info_.tokenizer_sha256 = reader.text("tokenizer_sha256");
  info_.content_sha256 = reader.text("content_sha256");
  info_.tokenizer_name = reader.text("tokenizer_name");
  info_.builder = reader.text("builder");
  if (reader.has("attributes_sha256") || reader.has("hash_sha256")) {
    info_.attributes_sha256 = reader.text("attributes_sha256");
    info_.hash_sha256 = reader.text("hash_sha256");
  }
  if (info_.vocab_size < 1 || info_.vocab_size > INT32_MAX) {
    malformed(path_, fmt::format("has vocab_size {}", info_.vocab_size));
  }
  if (info_.end_of_text < 0 || info_.end_of_text >= info_.vocab_size || info_.text_bytes < 0) {
    malformed(path_, fmt::format("has end_of_text {}, text_bytes {} for vocab_size {}",
                                 info_.end_of_text, info_.text_bytes, info_.vocab_size));
  }
  info_.token_bytes = info_.vocab_size <= 65536 ? 2 : 4;
}

void CorpusFile::check_arrays() const {
  if (info_.documents < 1 || offsets_.size() != hashes_.size() + 8 || load_u64(offsets_, 0) != 0 ||
      load_u64(offsets_, info_.documents) != static_cast<std::uint64_t>(info_.tokens)) {
    malformed(path_, fmt::format("/docs/offsets does not fit {} tokens in {} documents",
                                 info_.tokens, info_.documents));
  }
}

void CorpusFile::check_tokenizer() const {
  if (sha256_hex(tokenizer_json()) == info_.tokenizer_sha256) return;
  malformed(path_, "the stored tokenizer is not the one of tokenizer_sha256");
}

void CorpusFile::check_ends(std::int64_t stride) const {
  for (std::int64_t i = 0; i < info_.documents; i += stride) {
    const std::uint64_t begin = load_u64(offsets_, i), end = load_u64(offsets_, i + 1);
    if (begin > end || end > static_cast<std::uint64_t>(info_.tokens)) {
      malformed(path_, fmt::format("/docs/offsets descends after document {}", i));
    }
    if (begin == end) continue;
    std::int32_t last = 0;
    read_tokens(static_cast<std::int64_t>(end) - 1, {&last, 1});
    if (last != info_.end_of_text) {
      malformed(path_, fmt::format("document {} ends with token {}, but the attribute end_of_text "
                                   "is {}",
                                   i, last, info_.end_of_text));
    }
  }
}

/// New corpora are held against their digest; of older ones some documents must end as they say.
void CorpusFile::check_attributes() const {
  if (info_.attributes_sha256.empty()) {
    return check_ends(std::max<std::int64_t>(1, info_.documents / kSampledDocuments));
  }
  if (attributes_digest(info_) != info_.attributes_sha256) {
    malformed(path_,
              "its attributes or counts are not those of attributes_sha256: one was changed");
  }
}

CorpusFile::~CorpusFile() = default;

void CorpusFile::read_tokens(std::int64_t first, std::span<std::int32_t> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  if (first < 0 || first > info_.tokens || count > info_.tokens - first) {
    throw Error(ErrorKind::kBug, fmt::format("{}: tokens [{}, {}) asked for, it holds {}", path_,
                                             first, first + count, info_.tokens));
  }
  const auto vocab = static_cast<std::uint32_t>(info_.vocab_size);
  std::uint32_t largest = 0;
  const auto copy = [&](auto zero) {
    using Stored = decltype(zero);
    const std::byte* from = tokens_.data() + first * static_cast<std::int64_t>(sizeof(Stored));
    for (std::size_t i = 0; i < out.size(); ++i) {
      Stored id = 0;
      std::memcpy(&id, from + i * sizeof(Stored), sizeof(Stored));
      largest = std::max(largest, static_cast<std::uint32_t>(id));
      out[i] = static_cast<std::int32_t>(id);
    }
  };
  if (info_.token_bytes == 2) {
    copy(std::uint16_t{0});
  } else {
    copy(std::uint32_t{0});
  }
  if (largest >= vocab) {
    malformed(path_, fmt::format("holds token id {} in [{}, {}), its vocabulary ends at {}",
                                 largest, first, first + count, vocab));
  }
}

std::string CorpusFile::tokenizer_json() const {
  std::string json(tokenizer_.size(), '\0');
  std::memcpy(json.data(), tokenizer_.data(), tokenizer_.size());
  return json;
}

std::vector<std::int64_t> CorpusFile::document_offsets(std::int64_t first,
                                                       std::int64_t count) const {
  if (first < 0 || count < 0 || first > info_.documents + 1 - count) {
    throw Error(ErrorKind::kBug, fmt::format("{}: offsets [{}, {}) asked for, it holds {}", path_,
                                             first, first + count, info_.documents + 1));
  }
  std::vector<std::int64_t> result(static_cast<std::size_t>(count));
  if (count > 0) std::memcpy(result.data(), offsets_.data() + 8 * first, result.size() * 8);
  return result;
}

std::vector<std::uint64_t> CorpusFile::document_hashes(std::int64_t first,
                                                       std::int64_t count) const {
  if (first < 0 || count < 0 || first > info_.documents - count) {
    throw Error(ErrorKind::kBug, fmt::format("{}: hashes [{}, {}) asked for, it holds {}", path_,
                                             first, first + count, info_.documents));
  }
  std::vector<std::uint64_t> result(static_cast<std::size_t>(count));
  if (count > 0) std::memcpy(result.data(), hashes_.data() + 8 * first, result.size() * 8);
  return result;
}

void CorpusFile::verify() const {
  check_tokenizer();
  check_ends(1);
  Sha256 content;
  content.update(tokens_);
  content.update(offsets_);
  if (content.finish_hex() != info_.content_sha256) {
    malformed(path_, "tokens or offsets are not those of content_sha256");
  }
  Sha256 hashes;
  hashes.update(hashes_);
  if (!info_.hash_sha256.empty() && hashes.finish_hex() != info_.hash_sha256) {
    malformed(path_, "the hashes of the documents are not those of hash_sha256");
  }
  std::vector<std::int32_t> ids;
  for (std::int64_t first = 0; first < info_.tokens; first += kVerifyTokens) {
    ids.resize(static_cast<std::size_t>(std::min(kVerifyTokens, info_.tokens - first)));
    read_tokens(first, ids);
  }
}

}  // namespace rw::store
