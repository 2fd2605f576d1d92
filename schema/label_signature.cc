#include "schema/label_signature.h"

#include "schema/cbor_writer.h"

namespace standpipe {

void write_label(CborWriter& writer, const Label& label) {
  const std::size_t pairs = 4 + (label.exp ? 1U : 0U) + (label.cid ? 1U : 0U) +
                            (label.is_negation ? 1U : 0U) + (label.sig ? 1U : 0U) +
                            (label.ver ? 1U : 0U);
  CborMapWriter map(writer, pairs);
  const auto write = [&](std::string_view key, std::string_view text) {
    map.write_key(key);
    writer.write_text(text);
  };
  if (label.cid) write("cid", *label.cid);
  write("cts", label.cts);
  if (label.exp) write("exp", *label.exp);
  if (label.is_negation) {
    map.write_key("neg");
    writer.write_boolean(true);
  }
  if (label.sig) {
    map.write_key("sig");
    writer.write_bytes(*label.sig);
  }
  write("src", label.src);
  write("uri", label.uri);
  write("val", label.val);
  if (label.ver) {
    map.write_key("ver");
    writer.write_integer(*label.ver);
  }
}

Bytes encode_unsigned_label(const Label& label) {
  Label unsigned_label = label;
  unsigned_label.sig.reset();
  Bytes out;
  CborWriter writer(out);
  write_label(writer, unsigned_label);
  return out;
}

LabelCheck verify_label(const Label& label, const PublicKey& key) {
  if (!label.sig) return LabelCheck::no_signature;
  if (label.ver != 1) return LabelCheck::no_version;
  const Sha256Digest digest = sha256(encode_unsigned_label(label));
  return key.verify(digest, *label.sig) == SignatureCheck::valid ? LabelCheck::valid
                                                                 : LabelCheck::wrong_signature;
}

}  // namespace standpipe
