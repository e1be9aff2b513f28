// Part of Ropewalk, MIT licence.
#pragma once
// The HDF5 side of corpus_file_writer.cpp; not for other files.
#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include "store/aside.h"
#include "store/corpus_file_hdf5.h"

namespace rw::store::hdf5 {

/// Where HDF5's bytes go: a file of ours. HDF5 never hears of a failure, which it would not survive:
/// it is kept, nothing is written from there on, and our side rethrows it.
struct Sink {
  Store* store = nullptr;
  AsideFile* aside = nullptr;
  std::unique_ptr<ReadableFile> reader;  // once HDF5 wants something back
  std::uint64_t bytes = 0;               // written so far: where the file ends
  std::exception_ptr failure;
};

/// An HDF5 file while it is being written aside. Every failure is an Error: the store's own.
class Output {
 public:
  Output(Store& store, AsideFile& aside, const std::string& path);
  void number(const char* name, std::int64_t value);
  void text(const char* name, const std::string& value);
  /// Another value, of the same length, for an attribute that is there.
  void replace_text(const char* name, const std::string& value);
  void group(const char* name);
  /// A contiguous array, to be filled with write().
  Dataset array(const char* name, hid_t type, std::size_t elements);
  void write(const Dataset& dataset, std::size_t first, std::size_t elements, const void* values);
  /// Everything is handed to the file; no call afterwards.
  void close();

 private:
  void check(std::int64_t result, const char* operation) const;

  Quiet quiet_;
  std::string path_;
  Sink sink_;  // outlives file_
  File file_;
};

}  // namespace rw::store::hdf5
