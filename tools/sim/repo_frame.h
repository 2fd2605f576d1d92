// The frames of a simulated repository, encoded as relays encode them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/cid.h"
#include "schema/mst.h"
#include "schema/mst_node.h"
#include "schema/seq.h"
#include "tools/sim/slot.h"

namespace standpipe::tools::sim {

struct CommitFrame {
  struct Op {
    std::string_view path;
    std::optional<Cid> cid;   // none: a delete
    std::optional<Cid> prev;  // none: a create
    ByteView record;          // empty for a delete
  };

  Seq seq = kSeqNone;
  std::optional<Odd> odd;  // those that change the form of the frame
  std::string_view repo;
  std::string rev;
  std::optional<std::string> since;
  std::string time;
  BlessedCid prev_data{};
  ByteView commit_block;  // signed
  std::vector<Op> ops;
};

// `tree`: after the operations. The blocks are the nodes on the paths to the keys in tree
// pre-order, the records, the commit, then what nodes the proof needs beside these.
Bytes encode_commit_frame(const CommitFrame& frame, Mst& tree);

struct SyncFrame {
  Seq seq;
  std::string_view did;
  std::string time;
  std::string_view rev;
  ByteView commit_block;
};
Bytes encode_sync_frame(const SyncFrame& frame);

struct IdentityFrame {
  Seq seq;
  std::string_view did;
  std::string_view time;
  std::string_view handle;
};
Bytes encode_identity_frame(const IdentityFrame& frame);

struct AccountFrame {
  Seq seq;
  std::string_view did;
  std::string_view time;
  std::string_view status;  // empty: active
};
Bytes encode_account_frame(const AccountFrame& frame);

// The header of a frame of this type, "#commit"; with room for `reserved` bytes in all.
Bytes begin_frame(std::string_view type, std::size_t reserved);

// #info OutdatedCursor. It has no seq.
Bytes encode_info_frame();

}  // namespace standpipe::tools::sim
