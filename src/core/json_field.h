// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace rw::core {

/// A value as it stands in messages: its text, cut after 60 bytes; a long list or object is counted.
std::string shown_json(const Json& json);

/// A value of a file that was read, with its path: "FILE: key.other[3]". What is not as it is asked
/// for throws Error{malformed} "FILE: key.other[3]: got …, want …". Borrows the value.
class JsonField {
 public:
  static constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

  /// `file` stands in front of all messages.
  JsonField(const Json& json, std::string file, ErrorKind malformed = ErrorKind::kDataMalformed)
      : json_(&json), where_(std::move(file)), malformed_(malformed) {}

  const Json& json() const { return *json_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void fail(const std::string& got, const std::string& want) const;
  /// fail() with the value itself.
  [[noreturn]] void refuse(const std::string& want) const { fail(shown_json(*json_), want); }

  /// The value of a key of this object, which must be there.
  JsonField at(const char* key) const;
  /// The same; nullopt where it is absent or null.
  std::optional<JsonField> find(const char* key) const;
  bool has(const char* key) const { return find(key).has_value(); }
  /// The elements of this list: `size` of them, `of` what they are. O(size).
  std::vector<JsonField> list(const std::string& of, std::size_t size = kAny) const;
  /// This value, or the elements of this list.
  std::vector<JsonField> one_or_list() const;

  /// A number from `least` to `most`.
  double number(double least = std::numeric_limits<double>::lowest(),
                double most = std::numeric_limits<double>::max()) const;
  /// A number without fraction or exponent from `least` to `most`.
  std::int64_t whole(std::int64_t least, std::int64_t most) const;
  bool flag() const;
  std::string text() const;

 private:
  JsonField child(const Json& json, const std::string& step) const;

  const Json* json_;
  std::string where_;
  ErrorKind malformed_;
  bool is_root_ = true;  // where_ is the file's name alone
};

}  // namespace rw::core
