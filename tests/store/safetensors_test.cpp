// Part of Ropewalk, MIT licence.
#include "store/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"
#include "core/json.h"
#include "store/crc32c.h"
#include "store/memory.h"
#include "store/posix.h"

namespace rw::store {
namespace {

using core::DType;
using core::Error;
using core::ErrorKind;
using core::Json;
using core::Shape;
using core::Tensor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Crc32c, VectorsOfRfc3720) {
  const auto of = [](const std::string& text) { return crc32c(std::as_bytes(std::span(text))); };
  EXPECT_EQ(of(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(of(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(of("123456789"), 0xe3069283U);
  EXPECT_EQ(of(""), 0U);
  const std::string text = "a longer text in two parts";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(crc32c(bytes.subspan(7), crc32c(bytes.first(7))), of(text));
}

class SafetensorsTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const Json& header, const std::string& data) {
    const std::string text = header.dump();
    std::string out;
    for (std::size_t i = 0; i < 8; ++i)
      out.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xffU));
    write_whole(*store_, path, out + text + data);
  }
  static Json entry(const char* dtype, const std::vector<int>& shape, int begin, int end) {
    return {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, end}}};
  }
  std::string refusal(const Json& header, std::size_t data_bytes) {
    write("/m/model.safetensors", header, std::string(data_bytes, '\0'));
    return message();
  }
  std::string message(ErrorKind kind = ErrorKind::kDataMalformed) {
    try {
      const SafetensorsModel model(*store_, "/m");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      return error.what();
    }
    return "no error";
  }
  void SetUp() override { store_->make_folders("/m"); }
  std::unique_ptr<Store> store_ = make_memory();
};

TEST_F(SafetensorsTest, WhatIsWrittenIsRead) {
  const Tensor a = Tensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor b = Tensor::of({2}, {0.5F, -2}, DType::kBF16);
  SafetensorsWriter writer(*store_, "/m/model.safetensors",
                           {{"a", DType::kF32, {2, 3}}, {"b", DType::kBF16, {2}}},
                           {{"format", "pt"}});
  writer.write("b", b);
  writer.write("a", a);
  EXPECT_FALSE(store_->exists("/m/model.safetensors"));
  writer.finish();
  const SafetensorsModel model(*store_, "/m");
  EXPECT_THAT(model.names(), ElementsAre("a", "b"));
  EXPECT_EQ(model.shape("a"), (Shape{2, 3}));
  Tensor out = Tensor::empty({2, 3});
  model.read_f32("a", out);
  EXPECT_EQ(core::to_floats(out), core::to_floats(a));
  Tensor half = Tensor::empty({2});
  model.read_f32("b", half);
  EXPECT_EQ(core::to_floats(half), (std::vector<float>{0.5F, -2}));
  const SafetensorsFile file(*store_, "/m/model.safetensors");
  EXPECT_EQ(file.entries().size(), 2U);
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST_F(SafetensorsTest, HalfPrecisionIsConverted) {
  write("/m/model.safetensors", {{"h", entry("F16", {3}, 0, 6)}},
        std::string("\x00\x3c\x00\xc0\x01\x00", 6));
  Tensor out = Tensor::empty({3});
  SafetensorsModel(*store_, "/m").read_f32("h", out);
  EXPECT_EQ(core::to_floats(out), (std::vector<float>{1, -2, 5.9604644775390625e-8F}));
}

TEST_F(SafetensorsTest, EqualNumbersGiveEqualBytes) {
  for (const char* path : {"/m/a", "/m/b"}) {
    SafetensorsWriter writer(*store_, path, {{"x", DType::kF32, {1}}}, {{"format", "pt"}});
    writer.write("x", Tensor::of({1}, {3}));
    writer.finish();
  }
  EXPECT_EQ(read_whole(*store_, "/m/a"), read_whole(*store_, "/m/b"));
}

TEST_F(SafetensorsTest, UnfinishedLeavesNothing) {
  {
    SafetensorsWriter writer(*store_, "/m/x", {{"x", DType::kF32, {1}}}, {});
    EXPECT_THROW(writer.finish(), Error);
    EXPECT_THROW(writer.write("y", Tensor::of({1}, {3})), Error);
    EXPECT_THROW(writer.write("x", Tensor::of({2}, {3, 4})), Error);
  }
  EXPECT_TRUE(store_->list("/m").empty());
}

TEST_F(SafetensorsTest, HeadersThatLie) {
  EXPECT_THAT(refusal({{"a", entry("F32", {2}, 0, 8)}}, 4),
              HasSubstr("the file holds 4 bytes of data"));
  EXPECT_THAT(refusal({{"a", entry("F32", {2}, 0, 8)}}, 12),
              HasSubstr("the tensors end at byte 8"));
  EXPECT_THAT(refusal({{"a", entry("F32", {3}, 0, 8)}}, 8),
              HasSubstr("got 8 bytes for shape [3] of f32, want 12"));
  EXPECT_THAT(refusal({{"a", entry("F32", {2}, 8, 0)}}, 8), HasSubstr("bytes 8 to 0"));
  EXPECT_THAT(refusal({{"a", entry("F32", {1}, 0, 4)}, {"b", entry("F32", {1}, 8, 12)}}, 12),
              HasSubstr("overlap or bytes belong to none"));
  EXPECT_THAT(refusal({{"a", entry("F32", {2}, 0, 8)}, {"b", entry("F32", {1}, 4, 8)}}, 8),
              HasSubstr("overlap"));
  EXPECT_THAT(refusal({{"a", entry("F8", {2}, 0, 2)}}, 2), HasSubstr("got dtype F8"));
  EXPECT_THAT(refusal({{"a", 3}}, 0), HasSubstr("tensor a: got 3, want an object with `dtype`"));
  EXPECT_THAT(refusal({{"a", entry("F32", {-1}, 0, 4)}}, 4), HasSubstr("shape[0]: got -1"));
  EXPECT_THAT(refusal({{"a", entry("F32", {1, 1, 1, 1, 1, 1, 1}, 0, 4)}}, 4),
              HasSubstr("dimensions"));
  EXPECT_THAT(refusal({{"a", entry("F32", {2147483647, 2147483647, 2147483647}, 0, 4)}}, 4),
              HasSubstr("want a shape that a file can hold"));
  EXPECT_THAT(refusal(Json::array(), 0), HasSubstr("no JSON object"));
}

TEST_F(SafetensorsTest, EveryFieldOfAnEntryHasAType) {
  const auto of = [&](const Json& json) { return refusal({{"a", json}}, 4); };
  const Json good = entry("F32", {1}, 0, 4);
  const auto with = [&](const char* key, const Json& value) {
    Json out = good;
    out[key] = value;
    return of(out);
  };
  EXPECT_EQ(of(good), "no error");
  EXPECT_THAT(with("dtype", 7), HasSubstr("tensor a: dtype: got 7, want a string"));
  EXPECT_THAT(with("dtype", nullptr), HasSubstr("tensor a: dtype: got null"));
  EXPECT_THAT(with("shape", "big"), HasSubstr("tensor a: shape: got \"big\""));
  EXPECT_THAT(with("shape", Json{Json::array()}), HasSubstr("tensor a: shape[0]: got []"));
  EXPECT_THAT(with("shape", Json{1.5}), HasSubstr("tensor a: shape[0]: got 1.5"));
  EXPECT_THAT(with("shape", Json{std::uint64_t{1} << 63}), HasSubstr("got 9223372036854775808"));
  EXPECT_THAT(with("data_offsets", Json{0}), HasSubstr("data_offsets: got 1 entries, want 2"));
  EXPECT_THAT(with("data_offsets", Json{0, "4"}), HasSubstr("data_offsets[1]: got \"4\""));
  EXPECT_THAT(with("data_offsets", Json{-4, 0}), HasSubstr("data_offsets[0]: got -4"));
  EXPECT_THAT(with("data_offsets", Json{0, ~std::uint64_t{0}}), HasSubstr("data_offsets[1]: got"));
}

TEST_F(SafetensorsTest, HeadersThatNestOrRepeat) {
  const auto header = [&](const std::string& text) {
    std::string file(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
    write_whole(*store_, "/m/model.safetensors", file + text);
    return message();
  };
  const std::string open(100000, '['), close(100000, ']');
  EXPECT_THAT(header("{\"a\":" + open + close + "}"), HasSubstr("nested more than 128 deep"));
  EXPECT_THAT(header("{\"a\":{\"dtype\":" + open), HasSubstr("nested more than 128 deep"));
  EXPECT_THAT(header(R"({"a": {}, "a": {}})"),
              HasSubstr("header:1:11: got the key \"a\" a second"));
  EXPECT_THAT(header("{\"a\": \xff}"), HasSubstr("no UTF-8"));
  EXPECT_THAT(header("{\"" + std::string(5000, 'a') + "\": {}}"), HasSubstr("5000 bytes"));
  write_whole(*store_, "/m/model.safetensors", std::string("\0\0\0\0\0\0\0\x80{}", 10));
  EXPECT_THAT(message(), HasSubstr("the header claims 9223372036854775808 bytes"));
}

/// With a search through all names for each of them this takes minutes.
TEST_F(SafetensorsTest, ManyNamesTakeLinearTime) {
  constexpr int kNames = 100000;
  std::string header = "{", map = "{\"weight_map\": {";
  for (int i = 0; i < kNames; ++i) {
    header += fmt::format(R"("x{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},)", i);
    map += fmt::format(R"("x{}": "one",)", i);
  }
  header.back() = map.back() = '}';
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    length[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  write_whole(*store_, "/m/one", length + header);
  write_whole(*store_, "/m/model.safetensors.index.json", map + "}");
  EXPECT_EQ(SafetensorsModel(*store_, "/m").names().size(), kNames);
}

TEST_F(SafetensorsTest, FilesThatAreNone) {
  write_whole(*store_, "/m/model.safetensors", "short");
  EXPECT_THAT(message(), HasSubstr("got 5 bytes"));
  write_whole(*store_, "/m/model.safetensors", std::string(8, '\xff') + "{}");
  EXPECT_THAT(message(), HasSubstr("the header claims"));
  store_->remove("/m/model.safetensors");
  EXPECT_THAT(message(ErrorKind::kDataMissing), HasSubstr("neither model.safetensors nor"));
}

TEST_F(SafetensorsTest, ShardsWithAnIndex) {
  write("/m/one", {{"a", entry("F32", {1}, 0, 4)}}, std::string("\x00\x00\x80\x3f", 4));
  write("/m/two", {{"b", entry("F32", {1}, 0, 4)}}, std::string("\x00\x00\x00\x40", 4));
  const auto index = [&](const Json& map) {
    write_whole(*store_, "/m/model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  };
  index({{"a", "one"}, {"b", "two"}});
  const SafetensorsModel model(*store_, "/m");
  Tensor out = Tensor::empty({1});
  model.read_f32("b", out);
  EXPECT_EQ(core::to_floats(out)[0], 2);
  EXPECT_THROW(model.read_f32("c", out), Error);
  index({{"a", "one"}});
  EXPECT_EQ(message(), "no error");  // a shard that nobody names is not opened
  index({{"a", "one"}, {"c", "two"}});
  EXPECT_THAT(message(), HasSubstr("weight_map: c is not in two"));
  index({{"a", "one"}, {"b", "three"}});
  EXPECT_THAT(message(ErrorKind::kDataMissing), HasSubstr("three"));
  index({{"a", "../one"}});
  EXPECT_THAT(message(), HasSubstr("want a file name"));
  index({{"a", 1}, {"b", "two"}});
  EXPECT_THAT(message(), HasSubstr("weight_map: a: got 1, want a file name"));
  index({{"a", std::string("one\0", 4)}});
  EXPECT_THAT(message(), HasSubstr("want a file name"));
  index(Json::array({"one"}));
  EXPECT_THAT(message(), HasSubstr("weight_map: got [\"one\"]"));
  write_whole(*store_, "/m/model.safetensors.index.json", "{\n \"weight_map\": x}");
  EXPECT_THAT(message(), HasSubstr("index.json:2:16: got `x`, want a JSON value"));
  write_whole(*store_, "/m/model.safetensors.index.json", "[]");
  EXPECT_THAT(message(), HasSubstr("weight_map"));
}

/// What commits rely on, for every kind of store.
class StoreTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    store_ = GetParam() ? make_posix() : make_memory();
    folder_ = ::testing::TempDir() + "ropewalk-store-" + std::to_string(::getpid());
    store_->remove_tree(folder_);
    store_->make_folders(folder_ + "/deep/er");
  }
  void TearDown() override { store_->remove_tree(folder_); }
  std::unique_ptr<Store> store_;
  std::string folder_;
};

TEST_P(StoreTest, FilesAppearWholeUnderTheirName) {
  const std::string path = folder_ + "/file";
  write_whole(*store_, path, "one");
  write_whole(*store_, path, "another");
  EXPECT_EQ(read_whole(*store_, path), "another");
  EXPECT_EQ(store_->file_bytes(path), 7U);
  EXPECT_THAT(store_->list(folder_), ElementsAre("deep", "file"));
  EXPECT_THROW(store_->create(path), Error);
  store_->rename(path, folder_ + "/deep/file");
  EXPECT_FALSE(store_->exists(path));
  store_->remove(folder_ + "/deep/file");
  store_->remove(folder_ + "/deep/file");
  EXPECT_FALSE(store_->exists(folder_ + "/deep/file"));
}

TEST_P(StoreTest, PiecesInAnyOrder) {
  const std::string path = folder_ + "/pieces";
  const auto file = store_->create(path);
  const std::string late = "world";
  const std::string early = "hello ";
  file->write_at(6, std::as_bytes(std::span(late)));
  file->write_at(0, std::as_bytes(std::span(early)));
  file->sync();
  file->close();
  EXPECT_EQ(read_whole(*store_, path), "hello world");
  EXPECT_THROW(file->write_at(0, std::as_bytes(std::span(late))), Error);
  std::string beyond(20, ' ');
  EXPECT_THROW(store_->open(path)->read_at(0, std::as_writable_bytes(std::span(beyond))), Error);
}

TEST_P(StoreTest, Refusals) {
  EXPECT_THROW(store_->open(folder_ + "/none"), Error);
  EXPECT_THROW(store_->rename(folder_ + "/none", folder_ + "/x"), Error);
  EXPECT_THROW(store_->create(folder_ + "/no/folder/file"), Error);
  EXPECT_TRUE(store_->list(folder_ + "/none").empty());
  EXPECT_EQ(store_->file_bytes(folder_), std::nullopt);
  store_->remove_tree(folder_ + "/deep");
  EXPECT_FALSE(store_->exists(folder_ + "/deep/er"));
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, ::testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Posix" : "Memory"; });

}  // namespace
}  // namespace rw::store
