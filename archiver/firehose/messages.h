// Frames as values: what the parse functions of the original return, with the types that only old
// archives still hold.
// Spec: lexicons com.atproto.sync.subscribeRepos and com.atproto.label.subscribeLabels.
//
// A message borrows from its frame: text and bytes are views into it, and live as long as any copy
// of the frame. All functions are pure and may be called from any thread.
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "archiver/firehose/message_frame.h"
#include "schema/base/result.h"
#include "schema/event.h"
#include "schema/seq.h"

namespace standpipe::firehose {

using standpipe::Account;
using standpipe::Commit;
using standpipe::Identity;
using standpipe::Info;
using standpipe::Label;
using standpipe::Labels;
using standpipe::Migrate;
using standpipe::RepoOp;
using standpipe::Sync;
using standpipe::Tombstone;
/// #handle, which left the lexicon in 2025.
using Handle = HandleChange;

/// A type that does not belong to the endpoint, or that this build does not know. To be passed
/// over.
struct Unknown {
  std::string_view type;   ///< "#whatever"
  std::optional<Seq> seq;  ///< none where it has none that is usable
  ByteView body;           ///< CBOR, well-formed
};

/// What subscribeRepos sends, and has ever sent.
using SubscribeReposMessage =
    std::variant<Commit, Sync, Identity, Account, Info, Handle, Migrate, Tombstone, Unknown>;
/// What subscribeLabels sends.
using SubscribeLabelsMessage = std::variant<Labels, Info, Unknown>;

/// Decodes the body; `blocks` of a #commit stays bytes, for Car::from_bytes(). Lenient: fields in
/// any order, unknown ones, and the forms of earlier years. An unknown type is a value, not an
/// error.
///
/// Errc::malformed: a frame that is none, an error frame, or a field of a known type that is
/// missing or of another CBOR type; the detail names it.
Result<SubscribeReposMessage> parse_subscribe_repos_message(const MessageFrame& frame);
Result<SubscribeReposMessage> parse_subscribe_repos_message(MessageFrame&&) = delete;

/// The same for a labeler's stream.
Result<SubscribeLabelsMessage> parse_subscribe_labels_message(const MessageFrame& frame);
Result<SubscribeLabelsMessage> parse_subscribe_labels_message(MessageFrame&&) = delete;

}  // namespace standpipe::firehose
