// Part of Ropewalk, MIT licence.
#include "data/text_source.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/handle.h"
#include "core/json.h"
#include "data/text_source_utf8.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;
namespace fs = std::filesystem;

namespace {

constexpr unsigned kReadBytes = 1 << 18;

bool is_jsonl(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.gz");
}

void list_folder(const std::string& folder, const std::vector<std::string>& except,
                 std::vector<TextFile>& files) {
  std::vector<std::string> found;
  for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator();
       ++at) {
    if (at->path().filename().string().starts_with('.')) {
      if (at->is_directory()) at.disable_recursion_pending();
      continue;
    }
    const auto same = [&](const std::string& other) {
      std::error_code ignored;
      return fs::equivalent(at->path(), other, ignored);
    };
    if (!at->is_regular_file() || std::any_of(except.begin(), except.end(), same)) continue;
    found.push_back(at->path().string());
  }
  if (found.empty()) {
    throw Error(ErrorKind::kDataMissing,
                fmt::format("{}: the folder holds no file; want text or .jsonl files", folder));
  }
  std::sort(found.begin(), found.end());
  for (auto& path : found) files.push_back({path, is_jsonl(path)});
}

struct GzipPolicy {
  using Native = gzFile;
  static Native none() { return nullptr; }
  static void close(Native file) noexcept { gzclose_r(file); }
};

}  // namespace

std::vector<TextFile> list_text_files(const std::vector<std::string>& paths,
                                      const std::vector<std::string>& except) {
  std::vector<TextFile> files;
  for (const auto& path : paths) {
    std::error_code code;
    const auto status = fs::status(path, code);
    if (!fs::exists(status)) {
      throw Error(ErrorKind::kDataMissing,
                  fmt::format("{}: no such file or folder; want text or .jsonl files", path));
    }
    try {
      if (fs::is_directory(status)) {
        list_folder(path, except, files);
      } else {
        files.push_back({path, is_jsonl(path)});
      }
    } catch (const fs::filesystem_error& error) {
      throw Error(ErrorKind::kDataMissing,
                  fmt::format("{}: cannot list it: {}", path, error.code().message()));
    }
  }
  return files;
}

/// One open file, unpacked when it is gzip.
class TextSource::File {
 public:
  explicit File(TextFile what) : what_(std::move(what)) {
    errno = 0;
    if (!fs::is_directory(what_.path)) file_ = Gzip(gzopen(what_.path.c_str(), "rb"));
    if (file_.get() == nullptr) {
      throw Error(ErrorKind::kDataMissing, fmt::format("{}: cannot open it: {}", what_.path,
                                                       core::errno_text(errno ? errno : EISDIR)));
    }
    gzbuffer(file_.get(), kReadBytes);
  }

  std::optional<RawDocument> next() {
    if (done_) return std::nullopt;
    if (!what_.jsonl) {
      while (fill()) {
      }
      return RawDocument{std::move(pending_), what_.path, 0, 0};
    }
    while (true) {
      const std::int64_t begin = offset_;
      std::string line;
      if (!take_line(line)) return std::nullopt;
      ++line_;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      return RawDocument{std::move(line), what_.path, line_, begin};
    }
  }

 private:
  using Gzip = core::Handle<GzipPolicy>;

  /// Appends a piece of the file to pending_; false at its end.
  bool fill() {
    if (done_) return false;
    const std::size_t held = pending_.size();
    pending_.resize(held + kReadBytes);
    const int got = gzread(file_.get(), pending_.data() + held, kReadBytes);
    pending_.resize(held + static_cast<std::size_t>(std::max(got, 0)));
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END)) {
      const std::string why = code == Z_ERRNO ? core::errno_text(errno) : std::string(message);
      throw Error(code == Z_ERRNO ? ErrorKind::kStorage : ErrorKind::kDataMalformed,
                  fmt::format("{}: cannot be read to its end: {}; want whole text or whole gzip",
                              what_.path, why));
    }
    if (got == 0) done_ = true;
    return got > 0;
  }

  bool take_line(std::string& line) {
    std::size_t searched = taken_;
    while (true) {
      const std::size_t end = pending_.find('\n', searched);
      if (end != std::string::npos) {
        line.assign(pending_, taken_, end - taken_);
        offset_ += static_cast<std::int64_t>(end + 1 - taken_);
        taken_ = end + 1;
        return true;
      }
      pending_.erase(0, taken_);
      taken_ = 0;
      searched = pending_.size();
      if (fill()) continue;
      if (pending_.empty()) return false;
      line = std::move(pending_);
      pending_.clear();
      offset_ += static_cast<std::int64_t>(line.size());
      return true;
    }
  }

  TextFile what_;
  Gzip file_;
  bool done_ = false;
  std::string pending_;
  std::size_t taken_ = 0;  // bytes of pending_ that have been given out
  std::int64_t line_ = 0, offset_ = 0;
};

TextSource::TextSource(std::vector<TextFile> files) : files_(std::move(files)) {}
TextSource::~TextSource() = default;

std::optional<RawDocument> TextSource::next() {
  while (true) {
    if (file_) {
      if (auto document = file_->next()) return document;
      file_.reset();
    }
    if (next_file_ == files_.size()) return std::nullopt;
    file_ = std::make_unique<File>(files_[next_file_++]);
  }
}

std::string document_text(RawDocument document, const TextRules& rules, std::int64_t& replaced) {
  const bool jsonl = document.line > 0;
  if (!rules.any_bytes || jsonl) {
    const std::size_t bad = find_invalid_utf8(document.bytes);
    if (bad != std::string::npos && !rules.replace_invalid) {
      throw Error(
          ErrorKind::kDataMalformed,
          fmt::format("{}: invalid UTF-8 at byte {}; correct the file (`data build --invalid "
                      "replace` puts U+FFFD there)",
                      document.path, document.offset + static_cast<std::int64_t>(bad)));
    }
    if (bad != std::string::npos) {
      document.bytes = replace_invalid_utf8(document.bytes, replaced);
    }
  }
  if (!jsonl) return std::move(document.bytes);
  if (rules.replace_invalid) {
    document.bytes = replace_lone_surrogates(std::move(document.bytes), replaced);
  }
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}:{}: {}; want a JSON object per line with the text in `{}` (or name "
                            "another field with --jsonl-field)",
                            document.path, document.line, what, rules.jsonl_field));
  };
  core::Json line;
  try {
    line = core::Json::parse(document.bytes);
  } catch (const core::Json::exception& error) {
    std::int64_t halves = 0;
    const std::string whole = replace_lone_surrogates(document.bytes, halves);
    if (halves == 0 || !core::Json::accept(whole)) fail(error.what());
    throw Error(
        ErrorKind::kDataMalformed,
        fmt::format("{}:{}: got half of a surrogate pair ({}); correct the file (`data build "
                    "--invalid replace` puts U+FFFD there)",
                    document.path, document.line, error.what()));
  }
  if (!line.is_object()) fail(fmt::format("got a JSON {}", line.type_name()));
  const auto field = line.find(rules.jsonl_field);
  if (field == line.end()) fail(fmt::format("has no field `{}`", rules.jsonl_field));
  if (!field->is_string()) {
    fail(fmt::format("field `{}` is a {}", rules.jsonl_field, field->type_name()));
  }
  return field->get<std::string>();
}

}  // namespace rw::data
