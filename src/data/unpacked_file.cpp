// Part of Ropewalk, MIT licence.
#include "data/unpacked_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include "core/error.h"
#include "store/posix.h"

namespace rw::data {

namespace {

constexpr std::size_t kPieceBytes = 1 << 18;
constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window, a gzip header is wanted
constexpr std::array kGzipBegin{std::byte{0x1f}, std::byte{0x8b}};

}  // namespace

/// zlib's state; between members `inside` is false.
struct UnpackedFile::Inflater {
  Inflater() {
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  bool inside = true;
  int members = 0;
};

UnpackedFile::UnpackedFile(const std::string& path)
    : path_(path), file_(store::make_posix()->open(path)) {
  fill();
  if (input_.size() >= kGzipBegin.size() &&
      std::equal(kGzipBegin.begin(), kGzipBegin.end(), input_.begin())) {
    inflater_ = std::make_unique<Inflater>();
  }
}

UnpackedFile::~UnpackedFile() = default;

bool UnpackedFile::read(std::string& to) {
  if (inflater_) return read_gzip(to);
  if (used_ == input_.size() && !fill()) return false;
  to.append(reinterpret_cast<const char*>(input_.data()) + used_, input_.size() - used_);
  used_ = input_.size();
  return true;
}

/// The next piece of the file; false at its end.
bool UnpackedFile::fill() {
  input_.resize(std::min<std::uint64_t>(kPieceBytes, file_->bytes() - read_));
  used_ = 0;
  if (input_.empty()) return false;
  file_->read_at(read_, input_);
  read_ += input_.size();
  return true;
}

bool UnpackedFile::read_gzip(std::string& to) {
  z_stream& stream = inflater_->stream;
  const std::size_t held = to.size();
  to.resize(held + kPieceBytes);
  std::size_t got = 0;
  while (got == 0) {
    if (!inflater_->inside && !skip_padding()) break;
    if (used_ == input_.size() && !fill()) {
      fail("the file ends inside of a gzip member");
    }
    stream.next_in = reinterpret_cast<Bytef*>(input_.data() + used_);
    stream.avail_in = static_cast<uInt>(input_.size() - used_);
    stream.next_out = reinterpret_cast<Bytef*>(to.data() + held);
    stream.avail_out = kPieceBytes;
    const int result = inflate(&stream, Z_NO_FLUSH);
    used_ = input_.size() - stream.avail_in;
    got = kPieceBytes - stream.avail_out;
    if (result == Z_STREAM_END) {
      inflater_->inside = false;
      ++inflater_->members;
    } else if (result == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      fail(fmt::format("the gzip data are damaged ({})",
                       stream.msg != nullptr ? stream.msg : "a preset dictionary is wanted"));
    }
  }
  to.resize(held + got);
  return got > 0;
}

/// Goes to the next member; false when there is none.
bool UnpackedFile::skip_padding() {
  while (true) {
    while (used_ < input_.size() && input_[used_] == std::byte{0}) ++used_;
    if (used_ < input_.size()) break;
    if (!fill()) return false;
  }
  if (input_[used_] != kGzipBegin[0]) {
    fail(fmt::format("something that is no gzip lies behind member {}", inflater_->members));
  }
  inflateReset(&inflater_->stream);
  inflater_->inside = true;
  return true;
}

void UnpackedFile::fail(const std::string& what) const {
  throw core::Error(core::ErrorKind::kDataMalformed,
                    fmt::format("{}: {} at byte {} of the file; fetch or pack it again (`gzip -t` "
                                "tests a file)",
                                path_, what, read_ - (input_.size() - used_)));
}

}  // namespace rw::data
