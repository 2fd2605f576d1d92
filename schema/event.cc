#include "schema/event.h"

#include <initializer_list>
#include <string>
#include <utility>

#include "schema/cbor.h"

namespace standpipe {
namespace {

CborOptions payload_options() {
  CborOptions options;
  options.profile = CborProfile::lenient;
  options.depth_max = kFrameDepthMax;
  return options;
}

// How the value of a field is read, by the type of what it goes to. Null is nothing where the
// target can say so, and an error elsewhere.
Result<void> read_value(CborReader& reader, std::string_view& target) {
  STANDPIPE_TRY(target, reader.read_text());
  return {};
}

Result<void> read_value(CborReader& reader, ByteView& target) {
  STANDPIPE_TRY(target, reader.read_bytes());
  return {};
}

Result<void> read_value(CborReader& reader, bool& target) {
  STANDPIPE_TRY(target, reader.read_boolean());
  return {};
}

Result<void> read_value(CborReader& reader, std::int64_t& target) {
  STANDPIPE_TRY(target, reader.read_integer());
  return {};
}

Result<bool> take_null(CborReader& reader) {
  STANDPIPE_TRY(const CborKind kind, reader.peek_kind());
  if (kind != CborKind::null) return false;
  STANDPIPE_CHECK(reader.read_null());
  return true;
}

template <typename T>
Result<void> read_value(CborReader& reader, std::optional<T>& target) {
  STANDPIPE_TRY(const bool is_null, take_null(reader));
  if (is_null) return {};
  if constexpr (std::is_same_v<T, Cid>) {
    STANDPIPE_TRY(const ByteView link, reader.read_link());
    STANDPIPE_TRY(target, Cid::from_bytes(link));
    return {};
  } else {
    return read_value(reader, target.emplace());
  }
}

template <typename T>
Result<void> read_value(CborReader& reader, Nullable<T>& target) {
  target.is_present = true;
  return read_value(reader, target.value);
}

Result<void> read_value(CborReader& reader, RepoOp& target);
Result<void> read_value(CborReader& reader, Label& target);

// What entries are read into before they are known to be there.
template <typename T>
using Entry = std::conditional_t<std::is_same_v<T, Cid>, std::optional<Cid>, T>;

template <typename T>
Result<void> read_value(CborReader& reader, std::vector<T>& target) {
  STANDPIPE_TRY(const bool is_null, take_null(reader));
  if (is_null) return {};
  STANDPIPE_TRY(const std::uint64_t entries, reader.read_array());
  for (std::uint64_t i = 0; i < entries; ++i) {
    Entry<T> entry;
    STANDPIPE_CHECK(read_value(reader, entry));
    if constexpr (std::is_same_v<T, Cid>) {
      if (!entry.has_value()) return Error{Errc::malformed, "null where a link should be"};
      target.push_back(*std::move(entry));
    } else {
      target.push_back(std::move(entry));
    }
  }
  return {};
}

// A key of a map, and where its value goes.
class Field {
 public:
  enum class Presence : std::uint8_t { required, optional };

  template <typename T>
  Field(std::string_view key, T& target, Presence presence)
      : key_(key),
        target_(&target),
        read_(&read_into<T>),
        is_required_(presence == Presence::required) {}

  std::string_view key() const { return key_; }
  bool is_required() const { return is_required_; }
  Result<void> read(CborReader& reader) const { return read_(reader, target_); }

 private:
  template <typename T>
  static Result<void> read_into(CborReader& reader, void* target) {
    return read_value(reader, *static_cast<T*>(target));
  }

  std::string_view key_;
  void* target_;  // not ours
  Result<void> (*read_)(CborReader&, void*);
  bool is_required_;
};

constexpr auto kRequired = Field::Presence::required;
constexpr auto kOptional = Field::Presence::optional;

Error field_error(const Field& field, const std::string& why) {
  return {Errc::malformed, "field `" + std::string(field.key()) + "`: " + why};
}

// Reads a map. Keys that are not among `fields` are passed over.
Result<void> read_fields(CborReader& reader, std::initializer_list<Field> fields) {
  STANDPIPE_TRY(const std::uint64_t pairs, reader.read_map());
  std::uint32_t seen = 0;  // a bit per field
  for (std::uint64_t i = 0; i < pairs; ++i) {
    STANDPIPE_TRY(const std::string_view key, reader.read_text());
    const auto* field = fields.begin();
    while (field != fields.end() && field->key() != key) ++field;
    if (field == fields.end()) {
      STANDPIPE_CHECK(reader.skip_item());
      continue;
    }
    seen |= std::uint32_t{1} << static_cast<unsigned>(field - fields.begin());
    if (const auto read = field->read(reader); !read) {
      return field_error(*field, read.error().detail);
    }
  }
  for (const auto* field = fields.begin(); field != fields.end(); ++field) {
    const bool is_seen = (seen >> static_cast<unsigned>(field - fields.begin()) & 1U) != 0;
    if (field->is_required() && !is_seen) return field_error(*field, "is missing");
  }
  return {};
}

Result<void> read_value(CborReader& reader, RepoOp& op) {
  Nullable<Cid> cid;
  STANDPIPE_CHECK(read_fields(reader, {{"action", op.action, kRequired},
                                       {"path", op.path, kRequired},
                                       {"cid", cid, kOptional},
                                       {"prev", op.prev, kOptional}}));
  op.has_cid_field = cid.is_present;
  op.cid = std::move(cid.value);
  return {};
}

Result<void> read_value(CborReader& reader, Label& label) {
  return read_fields(reader, {{"src", label.src, kRequired},
                              {"uri", label.uri, kRequired},
                              {"val", label.val, kRequired},
                              {"cts", label.cts, kRequired},
                              {"exp", label.exp, kOptional},
                              {"cid", label.cid, kOptional},
                              {"neg", label.is_negation, kOptional},
                              {"sig", label.sig, kOptional},
                              {"ver", label.ver, kOptional}});
}

Result<Event> decode_commit(CborReader& reader, Seq seq) {
  std::string_view repo;
  std::string_view time;
  std::optional<Cid> commit;
  std::optional<std::string_view> rev;
  Nullable<std::string_view> since;
  std::optional<Cid> prev_data;
  Nullable<Cid> prev;
  std::vector<RepoOp> ops;
  std::vector<Cid> blobs;
  std::optional<ByteView> blocks;
  std::optional<bool> is_too_big;
  std::optional<bool> is_rebase;
  STANDPIPE_CHECK(read_fields(reader, {{"repo", repo, kRequired},
                                       {"time", time, kRequired},
                                       {"commit", commit, kRequired},
                                       {"ops", ops, kRequired},
                                       {"rev", rev, kOptional},
                                       {"since", since, kOptional},
                                       {"prevData", prev_data, kOptional},
                                       {"prev", prev, kOptional},
                                       {"blobs", blobs, kOptional},
                                       {"blocks", blocks, kOptional},
                                       {"tooBig", is_too_big, kOptional},
                                       {"rebase", is_rebase, kOptional}}));
  if (!commit) return Error{Errc::malformed, "field `commit`: is null"};
  return Event(Commit{.seq = seq,
                      .repo = repo,
                      .time = time,
                      .commit = *std::move(commit),
                      .rev = rev,
                      .since = since,
                      .prev_data = std::move(prev_data),
                      .prev = std::move(prev),
                      .ops = std::move(ops),
                      .blobs = std::move(blobs),
                      .blocks = blocks.value_or(ByteView{}),
                      .is_too_big = is_too_big.value_or(false),
                      .is_rebase = is_rebase.value_or(false)});
}

Result<Event> decode_sync(CborReader& reader, Seq seq) {
  Sync sync;
  sync.seq = seq;
  STANDPIPE_CHECK(read_fields(reader, {{"did", sync.did, kRequired},
                                       {"time", sync.time, kRequired},
                                       {"rev", sync.rev, kRequired},
                                       {"blocks", sync.blocks, kRequired}}));
  return Event(sync);
}

Result<Event> decode_identity(CborReader& reader, Seq seq) {
  Identity identity;
  identity.seq = seq;
  STANDPIPE_CHECK(read_fields(reader, {{"did", identity.did, kRequired},
                                       {"time", identity.time, kRequired},
                                       {"handle", identity.handle, kOptional}}));
  return Event(identity);
}

Result<Event> decode_account(CborReader& reader, Seq seq) {
  Account account;
  account.seq = seq;
  STANDPIPE_CHECK(read_fields(reader, {{"did", account.did, kRequired},
                                       {"time", account.time, kRequired},
                                       {"active", account.is_active, kRequired},
                                       {"status", account.status, kOptional}}));
  return Event(account);
}

Result<Event> decode_labels(CborReader& reader, Seq seq) {
  Labels labels;
  labels.seq = seq;
  STANDPIPE_CHECK(read_fields(reader, {{"labels", labels.labels, kRequired}}));
  return Event(std::move(labels));
}

Result<Event> decode_info(CborReader& reader, std::optional<Seq> seq) {
  Info info;
  info.seq = seq;
  STANDPIPE_CHECK(
      read_fields(reader, {{"name", info.name, kRequired}, {"message", info.message, kOptional}}));
  return Event(info);
}

Result<Event> decode_handle(CborReader& reader, Seq seq) {
  HandleChange change;
  change.seq = seq;
  STANDPIPE_CHECK(read_fields(reader, {{"did", change.did, kRequired},
                                       {"time", change.time, kRequired},
                                       {"handle", change.handle, kRequired}}));
  return Event(change);
}

Result<Event> decode_migrate(CborReader& reader, Seq seq) {
  Migrate migrate;
  migrate.seq = seq;
  STANDPIPE_CHECK(read_fields(reader, {{"did", migrate.did, kRequired},
                                       {"time", migrate.time, kRequired},
                                       {"migrateTo", migrate.migrate_to, kOptional}}));
  return Event(migrate);
}

Result<Event> decode_tombstone(CborReader& reader, Seq seq) {
  Tombstone tombstone;
  tombstone.seq = seq;
  STANDPIPE_CHECK(read_fields(
      reader, {{"did", tombstone.did, kRequired}, {"time", tombstone.time, kRequired}}));
  return Event(tombstone);
}

Result<Event> decode_error(CborReader& reader) {
  ErrorFrame error;
  STANDPIPE_CHECK(read_fields(
      reader, {{"error", error.name, kRequired}, {"message", error.message, kOptional}}));
  return Event(error);
}

Result<Event> decode_payload(CborReader& reader, const Envelope& envelope) {
  const Seq seq = envelope.seq.value_or(kSeqNone);  // none of #info and error frames alone
  switch (envelope.kind) {
    case FrameKind::commit:
      return decode_commit(reader, seq);
    case FrameKind::sync:
      return decode_sync(reader, seq);
    case FrameKind::identity:
      return decode_identity(reader, seq);
    case FrameKind::account:
      return decode_account(reader, seq);
    case FrameKind::info:
      return decode_info(reader, envelope.seq);
    case FrameKind::labels:
      return decode_labels(reader, seq);
    case FrameKind::handle:
      return decode_handle(reader, seq);
    case FrameKind::migrate:
      return decode_migrate(reader, seq);
    case FrameKind::tombstone:
      return decode_tombstone(reader, seq);
    case FrameKind::error:
      return decode_error(reader);
    case FrameKind::unknown:
      break;
  }
  return Event(UnknownMessage{seq, envelope.type, envelope.payload});
}

}  // namespace

Result<Event> decode_event(ByteView frame) {
  const FrameScan scan = scan_frame(frame);
  const Envelope& envelope = scan.envelope;
  if (scan.why != Unarchivable::archivable && scan.why != Unarchivable::error_frame &&
      scan.why != Unarchivable::info_frame) {
    return Error{Errc::malformed, "frame is unarchivable: " + std::string(to_string(scan.why)) +
                                      " at byte " + std::to_string(scan.error_at)};
  }
  const CborOptions options = payload_options();
  // The payload of an unknown type is nobody's to judge.
  if (envelope.kind != FrameKind::unknown) {
    if (const auto length = check_cbor(envelope.payload, options); !length) {
      return Error{Errc::malformed, "payload: " + length.error().detail};
    }
  }
  CborReader reader(envelope.payload, options);
  auto event = decode_payload(reader, envelope);
  if (!event) {
    return Error{Errc::malformed,
                 std::string(envelope.kind == FrameKind::error ? "error frame" : envelope.type) +
                     ": " + event.error().detail};
  }
  return event;
}

}  // namespace standpipe
