// What a label's signature is made over.
// Spec: atproto label, "Signatures". The key is that of #atproto_label in the DID document of
// `src`.
#pragma once

#include "schema/base/bytes.h"
#include "schema/crypto.h"
#include "schema/event.h"

namespace standpipe {

class CborWriter;

enum class LabelCheck : std::uint8_t {
  valid,
  no_signature,
  no_version,  // `ver` must be there, and be 1
  wrong_signature,
};

// The canonical encoding of the label's own fields: without `$type` and what the lexicon does not
// name, and without `neg` where it is false.
void write_label(CborWriter& writer, const Label& label);
// The same without `sig`.
Bytes encode_unsigned_label(const Label& label);

LabelCheck verify_label(const Label& label, const PublicKey& key);

}  // namespace standpipe
