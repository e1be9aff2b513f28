// Part of Ropewalk, MIT licence.
#include "data/text_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "core/json_reader.h"
#include "data/text_format.h"
#include "data/text_source_utf8.h"
#include "data/unpacked_file.h"

namespace rw::data {

using core::Error;
using core::ErrorKind;
namespace fs = std::filesystem;

namespace {

/// The name ends so, with or without .gz behind it.
bool ends_so(const std::string& path, std::string_view ending) {
  std::string_view name(path);
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return name.ends_with(ending);
}

bool is_jsonl(const std::string& path) {
  return ends_so(path, ".jsonl") || ends_so(path, ".ndjson");
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

/// One open file.
class TextSource::File {
 public:
  File(TextFile what, const TextRules& rules)
      : what_(std::move(what)), bytes_(what_.path), piece_bytes_(rules.piece_bytes) {
    if (rules.raw) return;
    while (pending_.size() < kHeadBytes && fill()) {
    }
    const bool json = what_.jsonl || ends_so(what_.path, ".json");
    const auto arrays = rules.one_text ? JsonArrays::kAreText
                        : json         ? JsonArrays::kAreRefused
                                       : JsonArrays::kNotOfDocuments;
    refuse_no_text(what_.path, std::string_view(pending_).substr(0, kHeadBytes), arrays);
    if (json && !rules.one_text && !what_.jsonl) what_.jsonl = holds_json_lines();
  }

  std::optional<RawDocument> next() { return what_.jsonl ? next_line() : next_piece(); }

 private:
  /// Appends a piece of the file to pending_; false at its end.
  bool fill() {
    if (!at_end_) at_end_ = !bytes_.read(pending_);
    return !at_end_;
  }

  bool holds_json_lines() {
    while (pending_.size() < kMostLineBytes) {
      if (const auto known = begins_with_json_lines(pending_, at_end_)) return *known;
      fill();
    }
    return false;
  }

  std::optional<RawDocument> next_piece() {
    if (done_) return std::nullopt;
    while (pending_.size() <= piece_bytes_ && fill()) {
    }
    RawDocument out{"", what_.path, 0, offset_, false, false};
    if (at_end_ && pending_.size() <= piece_bytes_) {
      done_ = true;
      out.bytes = std::move(pending_);
      return out;
    }
    const std::size_t cut = cut_between_characters(pending_, piece_bytes_);
    out.bytes = pending_.substr(0, cut);
    out.more = true;
    pending_.erase(0, cut);
    offset_ += static_cast<std::int64_t>(cut);
    return out;
  }

  std::optional<RawDocument> next_line() {
    while (true) {
      RawDocument out{"", what_.path, line_ + 1, offset_, false, false};
      if (!take_line(out)) return std::nullopt;
      ++line_;
      if (out.too_long || out.bytes.find_first_not_of(" \t\r") != std::string::npos) return out;
    }
  }

  /// A line that is too long is given out before its end is there: it may have none.
  bool take_line(RawDocument& out) {
    if (std::exchange(inside_long_line_, false) && !skip_to_line_end()) return false;
    out.offset = offset_;
    std::size_t searched = taken_;
    while (true) {
      const std::size_t end = pending_.find('\n', searched);
      const bool found = end != std::string::npos;
      if ((found ? end : pending_.size()) - taken_ > kMostLineBytes) {
        out.too_long = inside_long_line_ = true;
        return true;
      }
      if (found) {
        out.bytes.assign(pending_, taken_, end - taken_);
        take(end + 1);
        return true;
      }
      pending_.erase(0, std::exchange(taken_, 0));
      searched = pending_.size();
      if (fill()) continue;
      if (pending_.empty()) return false;
      out.bytes = pending_;
      take(pending_.size());
      return true;
    }
  }

  bool skip_to_line_end() {
    while (true) {
      const std::size_t end = pending_.find('\n', taken_);
      take(end == std::string::npos ? pending_.size() : end + 1);
      if (end != std::string::npos) return true;
      pending_.clear();
      taken_ = 0;
      if (!fill()) return false;
    }
  }

  /// Bytes of pending_ up to `end` are given out or passed over.
  void take(std::size_t end) {
    offset_ += static_cast<std::int64_t>(end - taken_);
    taken_ = end;
  }

  TextFile what_;
  UnpackedFile bytes_;
  std::size_t piece_bytes_;
  bool at_end_ = false;  // of the file
  bool done_ = false;    // the last piece is given out
  std::string pending_;
  std::size_t taken_ = 0;  // bytes of pending_ that have been given out as lines
  bool inside_long_line_ = false;
  std::int64_t line_ = 0, offset_ = 0;
};

TextSource::TextSource(std::vector<TextFile> files, TextRules rules)
    : files_(std::move(files)), rules_(std::move(rules)) {}
TextSource::~TextSource() = default;

std::optional<RawDocument> TextSource::next() {
  while (true) {
    if (file_) {
      if (auto document = file_->next()) return document;
      file_.reset();
    }
    if (next_file_ == files_.size()) return std::nullopt;
    file_ = std::make_unique<File>(files_[next_file_++], rules_);
  }
}

namespace {

void refuse_nul(const std::string& text, const std::string& path, std::int64_t offset) {
  const auto nul = describe_nul(text, static_cast<std::size_t>(offset));
  if (!nul) return;
  throw Error(
      ErrorKind::kDataMalformed,
      fmt::format("{}: holds {}; write the file as UTF-8 text (`data build --raw` takes any "
                  "bytes)",
                  path, *nul));
}

/// One JSON value; half of a surrogate pair says how to go on.
core::Json parse_line(const RawDocument& document) {
  try {
    return core::parse_json(document.bytes, {document.path, document.line});
  } catch (const Error& error) {
    std::int64_t halves = 0;
    const std::string whole = replace_lone_surrogates(document.bytes, halves);
    if (halves == 0 || !core::Json::accept(whole)) throw;
    throw Error(error.kind(),
                fmt::format("{} (`data build --invalid replace` puts U+FFFD there)", error.what()));
  }
}

std::string text_of_line(RawDocument document, const TextRules& rules, std::int64_t& replaced) {
  if (rules.replace_invalid) {
    document.bytes = replace_lone_surrogates(std::move(document.bytes), replaced);
  }
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}:{}: {}; want a JSON object per line with the text in `{}` (or name "
                            "another field with --jsonl-field)",
                            document.path, document.line, what, rules.jsonl_field));
  };
  if (const auto nul = describe_nul(document.bytes, 0)) fail("holds " + *nul);
  const core::Json line = parse_line(document);
  if (!line.is_object()) fail(fmt::format("got a JSON {}", line.type_name()));
  const auto field = line.find(rules.jsonl_field);
  if (field == line.end()) fail(fmt::format("has no field `{}`", rules.jsonl_field));
  if (!field->is_string()) {
    fail(fmt::format("field `{}` is a {}", rules.jsonl_field, field->type_name()));
  }
  auto text = field->get<std::string>();
  const bool any_bytes = rules.raw || rules.one_text;
  if (const auto nul = any_bytes ? std::nullopt : describe_nul(text, 0)) {
    fail(fmt::format("field `{}` holds {}", rules.jsonl_field, *nul));
  }
  return text;
}

}  // namespace

std::string document_text(RawDocument document, const TextRules& rules, std::int64_t& replaced) {
  const bool jsonl = document.line > 0;
  if (document.too_long) {
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}:{}: got a line of more than {} bytes; split the document, or give "
                            "it as a text file",
                            document.path, document.line, kMostLineBytes));
  }
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
  if (!jsonl) {
    if (!rules.raw && !rules.one_text) refuse_nul(document.bytes, document.path, document.offset);
    return std::move(document.bytes);
  }
  return text_of_line(std::move(document), rules, replaced);
}

std::string read_text_file(const std::string& path, TextRules rules, std::uint64_t most_bytes) {
  rules.one_text = true;
  TextSource source({{path, false}}, rules);
  std::string text;
  std::int64_t replaced = 0;
  while (auto piece = source.next()) {
    text += document_text(std::move(*piece), rules, replaced);
    if (text.size() <= most_bytes) continue;
    throw Error(ErrorKind::kDataMalformed,
                fmt::format("{}: got more than {} bytes of text; give less", path, most_bytes));
  }
  return text;
}

}  // namespace rw::data
