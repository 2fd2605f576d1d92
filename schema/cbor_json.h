// The two encodings of the atproto data model, turned into one another.
// Spec: atproto data model, "JSON" (not DAG-JSON): {"$link": "bafy..."}, {"$bytes": "base64"}.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/cbor.h"

namespace standpipe {

// `item` is one whole item, judged by check_cbor with `options` first. Shows what is there: the
// rules that json_to_cbor applies to "$type" and blobs are not applied here. Floats, where the
// profile lets them through, become numbers. unsupported: the well_formed profile, and a float that
// JSON has no number for.
Result<nlohmann::json> cbor_to_json(ByteView item, const CborOptions& options = {});

// The canonical encoding of `json`, an object. malformed, with the path, where it is not of the
// data model: a fraction, an integer outside of int64, a "$type" that is no text or empty, a
// "$link" or
// "$bytes" that is wrong or not alone in its object, a blob that lacks something. Numbers such as
// 123.0 are integers. limit where the result passes a limit of `options`; their profile is strict.
Result<Bytes> json_to_cbor(const nlohmann::json& json, const CborOptions& options = {});

}  // namespace standpipe
