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
/// those whose name begins with a dot and without `except`. A name that ends in .jsonl or .ndjson,
/// also with .gz behind it, is read line by line. Error{kDataMissing} for a path that is not there
/// and for a folder without files.
std::vector<TextFile> list_text_files(const std::vector<std::string>& paths,
                                      const std::vector<std::string>& except);

/// How files are read, and how a raw document becomes text.
struct TextRules {
  std::string jsonl_field = "text";
  bool replace_invalid = false;  // invalid UTF-8 becomes U+FFFD; else an error
  bool any_bytes = false;        // text files need not be UTF-8
  bool one_text = false;         // the file is one text, even JSON and with NUL bytes
  bool raw = false;              // any bytes are meant: no format is refused, NUL bytes neither
  std::size_t piece_bytes = std::size_t{1} << 23;  // longer text files come in pieces of this size
};

/// A document, or a piece of one, as it lies in its file.
struct RawDocument {
  std::string bytes;
  std::string path;
  std::int64_t line = 0;    // from 1; 0: a text file
  std::int64_t offset = 0;  // of its first byte in the file (unpacked)
  bool more = false;        // the next one goes on with this document
  bool too_long = false;    // a line beyond kMostLineBytes; `bytes` is empty
};

/// Longer lines of JSON are no documents: one that never ends would take all memory.
inline constexpr std::size_t kMostLineBytes = std::size_t{1} << 26;

/// Documents of the files in order; gzip is unpacked on the way. Blank lines of JSONL are passed
/// over; a .json that begins with two lines of one object each is JSONL. Holds a line, or a piece of
/// a text file, at a time; pieces end between characters.
class TextSource {
 public:
  explicit TextSource(std::vector<TextFile> files, TextRules rules = {});
  ~TextSource();
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;

  /// The next document; nullopt at the end. Errors: Store::open's; Error{kDataMalformed} for broken
  /// gzip and, unless rules.raw, for formats that are no text.
  std::optional<RawDocument> next();

 private:
  class File;
  std::vector<TextFile> files_;
  TextRules rules_;
  std::size_t next_file_ = 0;
  std::unique_ptr<File> file_;
};

/// The text of a document or of a piece. `replaced` is raised by the number of replacements. Throws
/// Error{kDataMalformed} that names file and byte, or file and line.
std::string document_text(RawDocument document, const TextRules& rules, std::int64_t& replaced);

/// The whole text of one file, whatever its name. Errors of both above; Error{kDataMalformed} beyond
/// `most_bytes`.
std::string read_text_file(const std::string& path, TextRules rules,
                           std::uint64_t most_bytes = std::uint64_t{1} << 32);

}  // namespace rw::data
