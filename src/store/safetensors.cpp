// Part of Ropewalk, MIT licence.
#include "store/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>
#include <tuple>

#include "core/error.h"
#include "core/json_field.h"
#include "core/json_reader.h"
#include "core/utf8.h"

namespace rw::store {
namespace {

using core::DType;
using core::Error;
using core::ErrorKind;
using core::Json;
using core::JsonField;

constexpr std::uint64_t kMostHeaderBytes = 100U << 20;
constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kMostNameBytes = 4096;

struct TypeName {
  DType dtype;
  const char* name;
};
constexpr std::array<TypeName, 8> kTypeNames{{{DType::kF32, "F32"},
                                              {DType::kBF16, "BF16"},
                                              {DType::kF16, "F16"},
                                              {DType::kI32, "I32"},
                                              {DType::kI64, "I64"},
                                              {DType::kU16, "U16"},
                                              {DType::kU8, "U8"},
                                              {DType::kF64, "F64"}}};

[[noreturn]] void malformed(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::kDataMalformed,
              fmt::format("{}: {}; fetch or write the file again", path, what));
}

DType parse_dtype(const std::string& path, const std::string& tensor, const std::string& name) {
  for (const auto& type : kTypeNames) {
    if (name == type.name) return type.dtype;
  }
  malformed(path, fmt::format("tensor {}: got dtype {}, want F32, BF16, F16, F64, I32, I64, U16 or "
                              "U8",
                              tensor, core::utf8_prefix(name, 40)));
}

const char* type_name(DType dtype) {
  for (const auto& type : kTypeNames) {
    if (dtype == type.dtype) return type.name;
  }
  throw Error(ErrorKind::kBug, "safetensors: a dtype without a name");
}

/// Product of the sizes; refuses what no file holds.
std::uint64_t count_elems(const JsonField& sizes, core::Shape& shape) {
  constexpr std::int64_t kMostElems = std::int64_t{1} << 48;
  const auto all = sizes.list("sizes");
  if (all.size() > core::Shape::kMaxRank) {
    sizes.fail(fmt::format("{} dimensions", all.size()),
               fmt::format("at most {}", core::Shape::kMaxRank));
  }
  std::int64_t elems = 1;
  for (const JsonField& size : all) {
    const std::int64_t n = size.whole(0, kMostElems);
    if (n != 0 && elems > kMostElems / n) sizes.refuse("a shape that a file can hold");
    elems *= n;
    shape.push_back(n);
  }
  return static_cast<std::uint64_t>(elems);
}

SafetensorsEntry parse_entry(const std::string& path, const std::string& name, const Json& json,
                             std::uint64_t data_bytes) {
  if (name.size() > kMostNameBytes) {
    malformed(path, fmt::format("a tensor's name has {} bytes, want at most {}", name.size(),
                                kMostNameBytes));
  }
  const JsonField field(json, fmt::format("{}: tensor {}", path, name));
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = parse_dtype(path, name, field.at("dtype").text());
  const auto elems = count_elems(field.at("shape"), entry.shape);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto offsets = field.at("data_offsets").list("offsets", 2);
  entry.begin = static_cast<std::uint64_t>(offsets[0].whole(0, kMost));
  entry.end = static_cast<std::uint64_t>(offsets[1].whole(0, kMost));
  if (entry.begin > entry.end || entry.end > data_bytes) {
    malformed(path,
              fmt::format("tensor {}: the header says bytes {} to {}, the file holds {} bytes "
                          "of data: it is truncated, or the header lies",
                          name, entry.begin, entry.end, data_bytes));
  }
  const std::uint64_t want = elems * core::dtype_bytes(entry.dtype);
  if (entry.end - entry.begin != want) {
    malformed(path, fmt::format("tensor {}: got {} bytes for shape {} of {}, want {}", name,
                                entry.end - entry.begin, entry.shape.text(),
                                core::dtype_name(entry.dtype), want));
  }
  return entry;
}

void require_tiling(const std::string& path, const std::vector<SafetensorsEntry>& entries,
                    std::uint64_t data_bytes) {
  std::uint64_t at = 0;
  for (const auto& entry : entries) {
    if (entry.begin != at) {
      malformed(path, fmt::format("tensor {}: begins at byte {} of the data, want {}: tensors "
                                  "overlap or bytes belong to none",
                                  entry.name, entry.begin, at));
    }
    at = entry.end;
  }
  if (at != data_bytes) {
    malformed(path, fmt::format("the tensors end at byte {} of the data, the file holds {}", at,
                                data_bytes));
  }
}

Json read_header(const ReadableFile& file, const std::string& path, std::uint64_t& data_begin) {
  std::array<std::byte, kLengthBytes> raw{};
  if (file.bytes() < kLengthBytes) {
    malformed(path, fmt::format("got {} bytes, want a safetensors file", file.bytes()));
  }
  file.read_at(0, raw);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    length |= std::to_integer<std::uint64_t>(raw[i]) << (8 * i);
  }
  if (length > kMostHeaderBytes || length > file.bytes() - kLengthBytes) {
    malformed(path, fmt::format("the header claims {} bytes, the file has {}: it is truncated, or "
                                "no safetensors file",
                                length, file.bytes()));
  }
  std::string text(length, '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(text)));
  data_begin = kLengthBytes + length;
  Json json = core::parse_json(text, {path + ": header"});
  if (!json.is_object()) malformed(path, "the header is no JSON object");
  return json;
}

void to_f32(const SafetensorsEntry& entry, std::span<const std::byte> raw, std::span<float> out,
            const std::string& path) {
  if (entry.dtype == DType::kF32) {
    std::memcpy(out.data(), raw.data(), raw.size());
    return;
  }
  if (entry.dtype != DType::kBF16 && entry.dtype != DType::kF16) {
    malformed(path, fmt::format("tensor {}: got {}, want f32, bf16 or f16 weights", entry.name,
                                core::dtype_name(entry.dtype)));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, raw.data() + 2 * i, sizeof bits);
    if (entry.dtype == DType::kBF16) {
      core::BF16 half;
      half.bits = bits;
      out[i] = static_cast<float>(half);
    } else {
      out[i] = core::f16_to_f32(bits);
    }
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(Store& store, const std::string& path)
    : path_(path), file_(store.open(path)) {
  const Json header = read_header(*file_, path_, data_begin_);
  const std::uint64_t data_bytes = file_->bytes() - data_begin_;
  for (const auto& [name, json] : header.items()) {
    if (name != "__metadata__") entries_.push_back(parse_entry(path_, name, json, data_bytes));
  }
  std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  require_tiling(path_, entries_, data_bytes);
  for (std::size_t i = 0; i < entries_.size(); ++i) place_.emplace(entries_[i].name, i);
}

const SafetensorsEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = place_.find(name);
  return found == place_.end() ? nullptr : &entries_[found->second];
}

void SafetensorsFile::read(const SafetensorsEntry& entry, std::span<std::byte> out) const {
  if (out.size() != entry.end - entry.begin) {
    throw Error(ErrorKind::kBug, fmt::format("{}: tensor {}: {} bytes asked, {} stored", path_,
                                             entry.name, out.size(), entry.end - entry.begin));
  }
  file_->read_at(data_begin_ + entry.begin, out);
}

SafetensorsModel::SafetensorsModel(Store& store, const std::string& folder) : folder_(folder) {
  const std::string single = folder + "/model.safetensors";
  const std::string index = folder + "/model.safetensors.index.json";
  if (store.exists(single)) {
    files_.push_back(std::make_unique<SafetensorsFile>(store, single));
    for (const auto& entry : files_[0]->entries()) where_[entry.name] = 0;
    return;
  }
  if (!store.exists(index)) {
    throw Error(ErrorKind::kDataMissing,
                fmt::format("{}: neither model.safetensors nor model.safetensors.index.json is "
                            "there; want a Hugging Face model",
                            folder));
  }
  const Json json = core::parse_json(read_whole(store, index), {index});
  const JsonField weight_map = JsonField(json, index).at("weight_map");
  if (!weight_map.json().is_object()) weight_map.refuse("an object of tensors and their files");
  std::map<std::string, std::size_t> number;  // shard -> its place in files_
  for (const auto& [name, shard] : weight_map.json().items()) {
    constexpr std::string_view kNoName("/\0", 2);
    const bool good = shard.is_string() && shard.get_ref<const std::string&>().find_first_of(
                                               kNoName) == std::string::npos;
    if (!good) {
      malformed(index, fmt::format("weight_map: {}: got {}, want a file name", name,
                                   core::shown_json(shard)));
    }
    const auto file = shard.get<std::string>();
    if (!number.contains(file)) {
      number[file] = files_.size();
      files_.push_back(
          std::make_unique<SafetensorsFile>(store, fmt::format("{}/{}", folder, file)));
    }
    if (files_[number[file]]->find(name) == nullptr) {
      malformed(index, fmt::format("weight_map: {} is not in {}", name, file));
    }
    where_[name] = number[file];
  }
  for (const auto& file : files_) {
    for (const auto& entry : file->entries()) {
      if (!where_.contains(entry.name)) {
        malformed(index, fmt::format("{} holds {}, which weight_map does not name", file->path(),
                                     entry.name));
      }
    }
  }
}

std::vector<std::string> SafetensorsModel::names() const {
  std::vector<std::string> out;
  for (const auto& [name, file] : where_) out.push_back(name);
  return out;
}

const SafetensorsEntry& SafetensorsModel::entry(const std::string& name) const {
  const auto found = where_.find(name);
  if (found == where_.end()) {
    throw Error(ErrorKind::kDataMalformed, fmt::format("{}: no tensor {}", folder_, name));
  }
  return *files_[found->second]->find(name);
}

core::Shape SafetensorsModel::shape(const std::string& name) const { return entry(name).shape; }

void SafetensorsModel::read_f32(const std::string& name, core::Tensor& out) const {
  const SafetensorsEntry& what = entry(name);
  core::require("safetensors", name.c_str(), out, what.shape);
  const SafetensorsFile& file = *files_[where_.at(name)];
  std::vector<std::byte> raw(what.end - what.begin);
  file.read(what, raw);
  std::vector<float> numbers(static_cast<std::size_t>(out.elems()));
  to_f32(what, raw, numbers, file.path());
  core::copy_from_host(numbers.data(), numbers.size() * sizeof(float), out);
}

SafetensorsWriter::SafetensorsWriter(Store& store, const std::string& path,
                                     std::vector<SafetensorsEntry> entries,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), aside_(std::make_unique<AsideFile>(store, path)), entries_(std::move(entries)) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (auto& entry : entries_) {
    entry.begin = at;
    at += static_cast<std::uint64_t>(entry.shape.elems()) * core::dtype_bytes(entry.dtype);
    entry.end = at;
    header[entry.name] = {
        {"dtype", type_name(entry.dtype)},
        {"shape", std::vector<std::int64_t>(entry.shape.begin(), entry.shape.end())},
        {"data_offsets", {entry.begin, entry.end}}};
    if (!missing_.insert(entry.name).second) {
      throw Error(ErrorKind::kBug, fmt::format("{}: tensor {} announced twice", path, entry.name));
    }
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  std::string front;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    front.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xffU));
  }
  front += text;
  data_begin_ = front.size();
  aside_->file().write_at(0, std::as_bytes(std::span(front)));
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(const std::string& name, const core::Tensor& tensor) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry.name == name; });
  if (found == entries_.end() || missing_.erase(name) == 0) {
    throw Error(ErrorKind::kBug,
                fmt::format("{}: tensor {} not announced, or written twice", path_, name));
  }
  core::require("safetensors", name.c_str(), tensor, found->shape, found->dtype);
  std::vector<std::byte> raw(tensor.bytes());
  core::copy_to_host(tensor, raw.data(), raw.size());
  aside_->file().write_at(data_begin_ + found->begin, raw);
}

void SafetensorsWriter::finish() {
  if (!missing_.empty()) {
    throw Error(ErrorKind::kBug,
                fmt::format("{}: tensor {} was not written", path_, *missing_.begin()));
  }
  aside_->commit();
}

}  // namespace rw::store
