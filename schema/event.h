// What frames say: the payloads of subscribeRepos and subscribeLabels as values.
// Spec: atproto lexicons com.atproto.sync.subscribeRepos and com.atproto.label.subscribeLabels,
// with their retired messages.
//
// An event borrows from its frame: text and bytes are views into it, so the frame must outlive the
// event. Only CIDs and lists are the event's own. Values are copied out as they are; whether a DID,
// a rev or a time is a good one is for others to judge.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/cid.h"
#include "schema/frame.h"
#include "schema/seq.h"

namespace standpipe {

// A nullable field that frames of another age do not have: not there (nothing is known), null (it
// is known that there is none), or a value.
template <typename T>
struct Nullable {
  bool is_present = false;
  std::optional<T> value;
};

struct RepoOp {
  std::string_view action;    // "create", "update", "delete"
  std::string_view path;      // "collection/rkey"
  std::optional<Cid> cid;     // none for a delete
  std::optional<Cid> prev;    // of an update or delete; none before 2025
  bool has_cid_field = true;  // a delete should say null; some other may leave it out
};

struct Commit {
  Seq seq{};
  std::string_view repo;
  std::string_view time;
  Cid commit;
  std::optional<std::string_view> rev;  // none before August 2023
  Nullable<std::string_view> since;     // not there before August 2023
  std::optional<Cid> prev_data;         // none before 2025, and for a first commit of some
  Nullable<Cid> prev;                   // retired in 2023; often still there as null
  std::vector<RepoOp> ops;              // null reads as empty, here and below
  std::vector<Cid> blobs;               // retired
  ByteView blocks;                      // a CAR; empty if not there, as of some that are too big
  bool is_too_big = false;              // retired
  bool is_rebase = false;               // retired
};

struct Sync {
  Seq seq{};
  std::string_view did;
  std::string_view time;
  std::string_view rev;
  ByteView blocks;  // a CAR with the commit block alone
};

struct Identity {
  Seq seq{};
  std::string_view did;
  std::string_view time;
  std::optional<std::string_view> handle;
};

struct Account {
  Seq seq{};
  std::string_view did;
  std::string_view time;
  bool is_active = false;
  std::optional<std::string_view> status;  // an open set
};

struct Label {
  std::string_view src;
  std::string_view uri;
  std::string_view val;
  std::string_view cts;
  std::optional<std::string_view> exp;
  std::optional<std::string_view> cid;  // as text
  bool is_negation = false;
  std::optional<ByteView> sig;
  std::optional<std::int64_t> ver;
};

struct Labels {
  Seq seq{};
  std::vector<Label> labels;
};

// #handle. Retired in 2024, for Identity.
struct HandleChange {
  Seq seq{};
  std::string_view did;
  std::string_view time;
  std::string_view handle;
};

// Retired in 2024, for Account.
struct Migrate {
  Seq seq{};
  std::string_view did;
  std::string_view time;
  std::optional<std::string_view> migrate_to;  // null: none
};

// Retired in 2024, for Account.
struct Tombstone {
  Seq seq{};
  std::string_view did;
  std::string_view time;
};

struct Info {
  std::optional<Seq> seq;  // none, as a rule
  std::string_view name;
  std::optional<std::string_view> message;
};

struct ErrorFrame {
  std::string_view name;
  std::optional<std::string_view> message;
};

// A type that this build does not know. Clients pass over it; archives keep it.
struct UnknownMessage {
  Seq seq{};
  std::string_view type;
  ByteView payload;  // CBOR, well-formed and no more than that
};

using Event = std::variant<Commit, Sync, Identity, Account, Labels, Info, HandleChange, Migrate,
                           Tombstone, ErrorFrame, UnknownMessage>;

// Decodes a frame that is archivable, an #info, or an error frame. Lenient: keys in any order,
// unknown fields, and the forms of earlier years. malformed: any other frame, with its
// Unarchivable; a field that is missing or of another type, with its name; repeated keys and
// indefinite lengths, which no atproto decoder takes.
Result<Event> decode_event(ByteView frame);

}  // namespace standpipe
