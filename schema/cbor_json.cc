#include "schema/cbor_json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "schema/cid.h"
#include "schema/multibase.h"
#include "schema/utf8.h"

namespace standpipe {
namespace {

using nlohmann::json;

constexpr double kIntegerInDoubleMax = 9'007'199'254'740'991.0;  // above, doubles skip integers

// Recursion is bounded by check_cbor, which has seen the item before.
Result<json> read_value(CborReader& reader);

Result<json> read_array_value(CborReader& reader) {
  STANDPIPE_TRY(const std::uint64_t entries, reader.read_array());
  json array = json::array();
  for (std::uint64_t i = 0; i < entries; ++i) {
    STANDPIPE_TRY(json value, read_value(reader));
    array.push_back(std::move(value));
  }
  return array;
}

Result<json> read_map_value(CborReader& reader) {
  STANDPIPE_TRY(const std::uint64_t pairs, reader.read_map());
  json object = json::object();
  for (std::uint64_t i = 0; i < pairs; ++i) {
    STANDPIPE_TRY(const std::string_view key, reader.read_text());
    STANDPIPE_TRY(json value, read_value(reader));
    object[std::string(key)] = std::move(value);
  }
  return object;
}

Result<json> read_value(CborReader& reader) {
  STANDPIPE_TRY(const CborKind kind, reader.peek_kind());
  switch (kind) {
    case CborKind::unsigned_integer:
    case CborKind::negative_integer: {
      STANDPIPE_TRY(const std::int64_t value, reader.read_integer());
      return json(value);
    }
    case CborKind::text: {
      STANDPIPE_TRY(const std::string_view text, reader.read_text());
      return json(std::string(text));
    }
    case CborKind::bytes: {
      STANDPIPE_TRY(const ByteView bytes, reader.read_bytes());
      return json{{"$bytes", to_base64(bytes)}};
    }
    case CborKind::link: {
      STANDPIPE_TRY(const ByteView cid, reader.read_link());
      return json{{"$link", cid_to_string(cid)}};
    }
    case CborKind::array:
      return read_array_value(reader);
    case CborKind::map:
      return read_map_value(reader);
    case CborKind::boolean: {
      STANDPIPE_TRY(const bool value, reader.read_boolean());
      return json(value);
    }
    case CborKind::null: {
      STANDPIPE_CHECK(reader.read_null());
      return json(nullptr);
    }
    case CborKind::floating: {
      STANDPIPE_TRY(const double value, reader.read_float());
      if (!std::isfinite(value)) return Error{Errc::unsupported, "a float that JSON cannot write"};
      return json(value);
    }
    case CborKind::tag:
    case CborKind::other:
      break;
  }
  return Error{Errc::unsupported, "an item that the data model does not have"};
}

class Encoder {
 public:
  explicit Encoder(Bytes& out) : writer_(out) {}

  Result<void> write(const json& value);

 private:
  Result<void> write_integer(const json& value);
  Result<void> write_text(const std::string& text);
  Result<void> write_link(const json& object);
  Result<void> write_bytes(const json& object);
  Result<void> write_array(const json& array);
  Result<void> write_object(const json& object);
  Result<void> check_type(const json& object) const;
  Result<void> check_blob(const json& object) const;

  Error malformed(const std::string& why) const {
    return {Errc::malformed,
            "JSON at " + (path_.empty() ? std::string("the top") : path_) + ": " + why};
  }

  CborWriter writer_;
  std::string path_;  // "/embed/images/0", for errors
  int depth_ = 0;
};

Result<void> Encoder::write(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      writer_.write_null();
      return {};
    case json::value_t::boolean:
      writer_.write_boolean(value.get<bool>());
      return {};
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      return write_integer(value);
    case json::value_t::string:
      return write_text(value.get_ref<const std::string&>());
    case json::value_t::array:
      return write_array(value);
    case json::value_t::object:
      if (value.contains("$link")) return write_link(value);
      if (value.contains("$bytes")) return write_bytes(value);
      return write_object(value);
    default:
      return malformed("neither null, boolean, number, string, array nor object");
  }
}

Result<void> Encoder::write_integer(const json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (!(std::fabs(number) <= kIntegerInDoubleMax) || std::trunc(number) != number) {
      return malformed("a number that is not an integer");
    }
    writer_.write_integer(static_cast<std::int64_t>(number));
    return {};
  }
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMax) {
    return malformed("an integer outside of 64 bits with sign");
  }
  writer_.write_integer(value.get<std::int64_t>());
  return {};
}

Result<void> Encoder::write_text(const std::string& text) {
  if (!is_valid_utf8(text)) return malformed("text is not UTF-8");
  writer_.write_text(text);
  return {};
}

Result<void> Encoder::write_link(const json& object) {
  const json& link = object["$link"];
  if (object.size() != 1 || !link.is_string()) {
    return malformed("\"$link\" must be a string, alone in its object");
  }
  const auto cid = Cid::parse(link.get_ref<const std::string&>());
  if (!cid) return malformed("\"$link\" holds no CID: " + cid.error().detail);
  writer_.write_link(cid->bytes());
  return {};
}

Result<void> Encoder::write_bytes(const json& object) {
  const json& text = object["$bytes"];
  if (object.size() != 1 || !text.is_string()) {
    return malformed("\"$bytes\" must be a string, alone in its object");
  }
  const auto bytes = parse_base64(text.get_ref<const std::string&>());
  if (!bytes) return malformed("\"$bytes\": " + bytes.error().detail);
  writer_.write_bytes(*bytes);
  return {};
}

Result<void> Encoder::write_array(const json& array) {
  if (++depth_ > kCborDepthLimit) return Error{Errc::limit, "JSON is nested too deep"};
  writer_.write_array(array.size());
  const std::size_t path_bytes = path_.size();
  for (std::size_t i = 0; i < array.size(); ++i) {
    path_ += "/" + std::to_string(i);
    STANDPIPE_CHECK(write(array[i]));
    path_.resize(path_bytes);
  }
  --depth_;
  return {};
}

Result<void> Encoder::write_object(const json& object) {
  if (++depth_ > kCborDepthLimit) return Error{Errc::limit, "JSON is nested too deep"};
  STANDPIPE_CHECK(check_type(object));
  std::vector<json::const_iterator> entries;
  entries.reserve(object.size());
  for (auto entry = object.begin(); entry != object.end(); ++entry) entries.push_back(entry);
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return cbor_key_less(a.key(), b.key()); });
  writer_.write_map(entries.size());
  const std::size_t path_bytes = path_.size();
  for (const auto& entry : entries) {
    path_ += "/" + entry.key();
    STANDPIPE_CHECK(write_text(entry.key()));
    STANDPIPE_CHECK(write(entry.value()));
    path_.resize(path_bytes);
  }
  --depth_;
  return {};
}

Result<void> Encoder::check_type(const json& object) const {
  const auto type = object.find("$type");
  if (type == object.end()) return {};
  if (!type->is_string() || type->get_ref<const std::string&>().empty()) {
    return malformed("\"$type\" must be a string that is not empty");
  }
  return *type == "blob" ? check_blob(object) : Result<void>();
}

Result<void> Encoder::check_blob(const json& object) const {
  const auto ref = object.find("ref");
  if (ref == object.end() || !ref->is_object() || !ref->contains("$link")) {
    return malformed("a blob needs \"ref\", a link");
  }
  const auto mime_type = object.find("mimeType");
  if (mime_type == object.end() || !mime_type->is_string() ||
      mime_type->get_ref<const std::string&>().empty()) {
    return malformed("a blob needs \"mimeType\", a string that is not empty");
  }
  const auto size = object.find("size");
  if (size == object.end() || !size->is_number() || size->get<double>() <= 0) {
    return malformed("a blob needs \"size\", an integer above 0");
  }
  return {};
}

}  // namespace

Result<json> cbor_to_json(ByteView item, const CborOptions& options) {
  if (options.profile == CborProfile::well_formed) {
    return Error{Errc::unsupported, "only items of the data model have a JSON form"};
  }
  STANDPIPE_TRY(const std::size_t length, check_cbor(item, options));
  if (length != item.size()) {
    return Error{Errc::malformed, "CBOR at byte " + std::to_string(length) + ": trailing bytes"};
  }
  CborReader reader(item, options);
  return read_value(reader);
}

Result<Bytes> json_to_cbor(const json& json, const CborOptions& options) {
  if (!json.is_object()) return Error{Errc::malformed, "JSON at the top: not an object"};
  if (json.contains("$link") || json.contains("$bytes")) {
    return Error{Errc::malformed, "JSON at the top: a link or bytes, not an object"};
  }
  Bytes out;
  STANDPIPE_CHECK(Encoder(out).write(json));
  CborOptions strict = options;
  strict.profile = CborProfile::strict;
  STANDPIPE_CHECK(check_cbor(out, strict));  // for the limits: the form is right by construction
  return out;
}

}  // namespace standpipe
