// DID documents: which keys an account signs with.
// Spec: atproto DID, "DID Documents"; W3C DID core.
//
// Of a document only the two verification methods are read that atproto knows: the first one with
// "#atproto" (commits), the first one with "#atproto_label" (labels). A document is foreign: any of
// it may be missing or wrong, and a key that cannot be used is told with its reason.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "schema/crypto.h"

namespace standpipe {

struct DidDocument {
  std::string did;
  // not_found: no such method; malformed, unsupported: it is there, but is no key of its type, is
  // of another type, or has another controller.
  Result<PublicKey> signing_key;
  Result<PublicKey> label_key;
};

// One document. malformed: no JSON object with an `id` that is a DID.
Result<DidDocument> parse_did_document(std::string_view json);

struct DidDocumentCounts {
  std::size_t documents = 0;  // that were handed out
  std::size_t refused = 0;    // no document, or of another DID than the key that they stand at
};

// All documents of a text: one alone, an object of documents by their DIDs, an array of them, or
// one to a line. Each is handed out as it is read, so what is held is the text and one document.
// malformed: the text is not JSON; says where.
using VisitDidDocument = std::function<void(DidDocument document)>;
Result<DidDocumentCounts> parse_did_documents(std::string_view text, const VisitDidDocument& visit);

}  // namespace standpipe
