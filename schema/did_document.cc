#include "schema/did_document.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "schema/ids.h"

namespace standpipe {
namespace {

using nlohmann::json;

constexpr std::string_view kBlank = " \t\r\n";

// The text at `key`, or nothing where there is none.
std::optional<std::string_view> text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return std::string_view(found->get_ref<const std::string&>());
}

Result<PublicKey> key_of(const json& method, std::string_view did) {
  const auto controller = text_at(method, "controller");
  if (controller != did) {
    return Error{Errc::malformed,
                 "key of another controller: " + quoted_for_error(controller.value_or(""))};
  }
  const std::string_view type = text_at(method, "type").value_or("");
  const auto key = text_at(method, "publicKeyMultibase");
  if (!key) return Error{Errc::malformed, "key without publicKeyMultibase"};
  if (type == "Multikey") return PublicKey::parse_multikey(*key);
  if (type == "EcdsaSecp256k1VerificationKey2019") {
    return PublicKey::parse_legacy_multibase(Curve::k256, *key);
  }
  if (type == "EcdsaSecp256r1VerificationKey2019") {
    return PublicKey::parse_legacy_multibase(Curve::p256, *key);
  }
  return Error{Errc::unsupported, "key of type " + quoted_for_error(type)};
}

// Of several methods with one name the first counts, as for everyone else in the network.
Result<PublicKey> find_key(const json& document, std::string_view did, std::string_view fragment) {
  const auto methods = document.find("verificationMethod");
  if (methods != document.end() && methods->is_array()) {
    const std::string absolute = std::string(did) + std::string(fragment);
    for (const json& method : *methods) {
      if (!method.is_object()) continue;
      const auto id = text_at(method, "id");
      if (id == fragment || id == absolute) return key_of(method, did);
    }
  }
  return Error{Errc::not_found, "no key " + std::string(fragment) + " in the DID document"};
}

Result<DidDocument> document_of(const json& value) {
  if (!value.is_object()) return Error{Errc::malformed, "DID document that is no JSON object"};
  const auto id = text_at(value, "id");
  if (!id || !Did::is_valid(*id)) {
    return Error{Errc::malformed, "DID document of " + quoted_for_error(id.value_or(""))};
  }
  return DidDocument{std::string(*id), find_key(value, *id, "#atproto"),
                     find_key(value, *id, "#atproto_label")};
}

Error not_json(const json::exception& error) { return {Errc::malformed, error.what()}; }

// Takes documents out of a text while it is parsed.
class DocumentTaker {
 public:
  explicit DocumentTaker(const VisitDidDocument& visit) : visit_(&visit) {}

  // Parses one JSON value: a document, or an object or array of them.
  Result<void> take(std::string_view text) {
    is_by_did_ = false;
    key_.clear();
    try {
      const json rest =
          json::parse(text, [this](int depth, json::parse_event_t event, json& parsed) {
            return keep(depth, event, parsed);
          });
      // What is left of a list is its brackets; a document alone is still whole.
      if (rest.is_object() && !rest.empty() && !is_by_did_) take_document(rest);
      if (!rest.is_object() && !rest.is_array()) ++counts.refused;
    } catch (const json::exception& error) {
      return not_json(error);
    }
    return {};
  }

  DidDocumentCounts counts;

 private:
  // Whether the parser is to keep what it has read. The members of a list are handed out and
  // forgotten, so that a large one never stands in memory as a whole.
  bool keep(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (depth == 0 && event == Event::array_start) is_array_ = true;
    if (depth == 0 && event == Event::object_start) is_array_ = false;
    if (depth != 1) return true;
    if (event == Event::key) {
      key_ = parsed.get<std::string>();
      if (key_.starts_with("did:")) is_by_did_ = true;
      return true;
    }
    if (!is_array_ && !key_.starts_with("did:")) return true;
    if (event == Event::object_start || event == Event::array_start) return true;
    take_document(parsed);
    return false;
  }

  void take_document(const json& value) {
    auto document = document_of(value);
    if (!document || (!is_array_ && is_by_did_ && document->did != key_)) {
      ++counts.refused;
      return;
    }
    ++counts.documents;
    (*visit_)(*std::move(document));
  }

  const VisitDidDocument* visit_;
  bool is_array_ = false;   // the outermost value is one
  bool is_by_did_ = false;  // it is an object of documents by their DIDs
  std::string key_;         // at the outermost level
};

// Whether the first line is a JSON value by itself with more to come.
bool has_lines(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  return text.find_first_not_of(kBlank, end) != std::string_view::npos &&
         json::accept(text.substr(0, end));
}

}  // namespace

Result<DidDocument> parse_did_document(std::string_view text) {
  try {
    return document_of(json::parse(text));
  } catch (const json::exception& error) {
    return not_json(error);
  }
}

Result<DidDocumentCounts> parse_did_documents(std::string_view text,
                                              const VisitDidDocument& visit) {
  DocumentTaker taker(visit);
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  if (!has_lines(text)) {
    STANDPIPE_CHECK(taker.take(text));
    return taker.counts;
  }
  std::size_t number = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    if (line.find_first_not_of(kBlank) == std::string_view::npos) continue;
    if (auto taken = taker.take(line); !taken) {
      return Error{taken.error().code,
                   "line " + std::to_string(number) + ": " + taken.error().detail};
    }
  }
  return taker.counts;
}

}  // namespace standpipe
