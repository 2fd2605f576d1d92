// The records that simulated accounts write: shaped and sized as real ones are, with made-up words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "tools/sim/collections.h"
#include "tools/sim/random.h"

namespace standpipe::tools::sim {

struct RecordContext {
  std::uint64_t seed = 0;
  std::uint64_t micros = 0;    // when it is written
  std::string_view own_did;    // of the account
  std::string_view post_rkey;  // of the post that a threadgate is for
};

// A record that somebody else has written, of whom nothing else is known.
struct Foreign {
  std::string cid;
  std::string uri;
};
Foreign foreign_record(std::string_view collection, const RecordContext& context, Random& random);

// A record of `collection` as canonical DAG-CBOR.
Bytes make_record(Collection collection, const RecordContext& context, Random& random);

// A post whose text has `text_bytes`, as no lexicon allows.
Bytes make_huge_post(std::size_t text_bytes, const RecordContext& context, Random& random);

}  // namespace standpipe::tools::sim
