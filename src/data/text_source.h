// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rw::data {

struct TextFile {
  std::string path;
  bool jsonl = false;  // a document per line; else the file is one document
};

/// The files behind `paths`: a folder stands for the files in it and below, sorted by name, without
/// those whose name begins with a dot and without `except`. A name that ends in .jsonl, or in
/// .jsonl.gz, is read line by line. Error{kDataMissing} for a path that is not there and for a
/// folder without files.
std::vector<TextFile> list_text_files(const std::vector<std::string>& paths,
                                      const std::vector<std::string>& except);

/// One document as it lies in its file.
struct RawDocument {
  std::string bytes;
  std::string path;
  std::int64_t line = 0;    // from 1; 0: the whole file
  std::int64_t offset = 0;  // of its first byte in the file (unpacked)
};

/// Documents of the files in order; gzip is unpacked on the way. Blank lines of JSONL are passed
/// over. Holds one document at a time.
class TextSource {
 public:
  explicit TextSource(std::vector<TextFile> files);
  ~TextSource();
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;

  /// The next document; nullopt at the end. Error{kDataMissing} when a file cannot be opened,
  /// Error{kDataMalformed} for broken gzip.
  std::optional<RawDocument> next();

 private:
  class File;
  std::vector<TextFile> files_;
  std::size_t next_file_ = 0;
  std::unique_ptr<File> file_;
};

/// How a raw document becomes text.
struct TextRules {
  std::string jsonl_field = "text";
  bool replace_invalid = false;  // invalid UTF-8 becomes U+FFFD; else an error
  bool any_bytes = false;        // text files are taken as they are
};

/// The text of a document. `replaced` is raised by the number of replacements. Throws
/// Error{kDataMalformed} that names file and byte, or file and line.
std::string document_text(RawDocument document, const TextRules& rules, std::int64_t& replaced);

}  // namespace rw::data
