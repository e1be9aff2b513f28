// Part of Ropewalk, MIT licence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"
#include "store/aside.h"
#include "store/store.h"

namespace rw::store {

/// One tensor of a safetensors file; bytes [begin, end) of its data part.
struct SafetensorsEntry {
  std::string name;
  core::DType dtype = core::DType::kF32;
  core::Shape shape;
  std::uint64_t begin = 0, end = 0;
};

/// A safetensors file, read-only: the header is read and held against the file's length on opening,
/// tensors are read when asked for. Error{kDataMalformed} names the file and what is wrong:
/// truncated, a header that lies about sizes, overlapping or missing bytes, unknown types.
class SafetensorsFile {
 public:
  SafetensorsFile(Store& store, const std::string& path);
  /// In the order of the data.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  const SafetensorsEntry* find(const std::string& name) const;  // nullptr: not in this file
  /// The stored bytes; out.size() must be entry.end - entry.begin.
  void read(const SafetensorsEntry& entry, std::span<std::byte> out) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::shared_ptr<ReadableFile> file_;
  std::uint64_t data_begin_ = 0;
  std::vector<SafetensorsEntry> entries_;
  std::unordered_map<std::string, std::size_t> place_;  // in entries_
};

/// The weights of a Hugging Face folder: model.safetensors, or the shards that
/// model.safetensors.index.json names. Error{kDataMissing} without either, or without a shard;
/// Error{kDataMalformed} when the index and the shards contradict each other.
class SafetensorsModel {
 public:
  SafetensorsModel(Store& store, const std::string& folder);
  std::vector<std::string> names() const;  // sorted
  bool contains(const std::string& name) const { return where_.contains(name); }
  core::Shape shape(const std::string& name) const;
  /// Fills `out`, f32 of the stored shape on any device, from f32, bf16 or f16.
  void read_f32(const std::string& name, core::Tensor& out) const;

 private:
  const SafetensorsEntry& entry(const std::string& name) const;
  std::string folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::size_t> where_;  // name -> file
};

/// Writes a safetensors file aside, tensor by tensor in any order; finish() makes it appear under
/// its name. Without finish() nothing appears. Equal entries, metadata and numbers give equal bytes.
class SafetensorsWriter {
 public:
  /// The offsets in `entries` are ignored: the data lie in the order of `entries`.
  SafetensorsWriter(Store& store, const std::string& path, std::vector<SafetensorsEntry> entries,
                    const std::map<std::string, std::string>& metadata);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  /// `tensor` (host or device) must have the dtype and the shape that was announced.
  void write(const std::string& name, const core::Tensor& tensor);
  /// Throws Error{kBug} naming the first tensor that was not written.
  void finish();

 private:
  std::string path_;
  std::unique_ptr<AsideFile> aside_;
  std::vector<SafetensorsEntry> entries_;
  std::set<std::string> missing_;
  std::uint64_t data_begin_ = 0;
};

}  // namespace rw::store
