// A Merkle search tree built from a sorted map by the definition alone: slow, short, and apart from
// schema/mst, which it is used to check.
#pragma once

#include <map>
#include <string>

#include "schema/base/bytes.h"

namespace standpipe::test {

using MstModel = std::map<std::string, Bytes>;  // key -> binary CID of the record

struct MstTwin {
  std::string root;                    // CID as text
  std::map<std::string, Bytes> nodes;  // CID as text -> block
};

MstTwin build_mst_twin(const MstModel& model);

}  // namespace standpipe::test
