// The two clients that block. A client keeps one stream coming: it dials, reads, waits, and dials
// again from where it stood.
//
//     standpipe::firehose::FirehoseSubscribeReposClient client({.cursor = standpipe::Seq{0}});
//     client.start([](const standpipe::firehose::MessageFrame& frame) { ... });
//
// Spec: atproto event-stream; sync ("Firehose"); docs/client-library.md has the differences from
// the Python SDK, whose names these are.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>

#include "archiver/firehose/client_options.h"
#include "archiver/firehose/errors.h"
#include "archiver/firehose/message_frame.h"
#include "schema/seq.h"

namespace standpipe::firehose {

class Messages;

/// What both blocking clients do. Make one of those.
///
/// A client runs on the thread that calls start(), and has no other. stop(), update_params(),
/// cursor() and stats() may be called from any thread, and from callbacks. Memory: the message that
/// is being read (at most message_bytes_max, and twice that for a moment), the frame that is being
/// handled, and for messages() what was read ahead.
class FirehoseClient {
 public:
  using OnMessage = std::function<void(const MessageFrame&)>;

  FirehoseClient(const FirehoseClient&) = delete;
  FirehoseClient& operator=(const FirehoseClient&) = delete;

  /// Calls `on_message` with each frame, one at a time, in the order of their seqs and each once,
  /// on this thread. It may block: the socket is not read meanwhile. Returns after stop(), or where
  /// CleanClose::stop ends it.
  ///
  /// What `on_message` throws goes to `on_callback_error`, or else to the log, and the stream goes
  /// on. The cursor is then not moved by that frame, only by the next that succeeds.
  ///
  /// Throws FirehoseError for an error frame, FirehoseDecodingError under BadFrame::fail; cursor()
  /// is then what it would go on from, and start() may be called again, as after any return.
  /// std::logic_error: it runs already.
  void start(const OnMessage& on_message, OnCallbackError on_callback_error = {});

  /// The same as a range, of one pass: `for (const MessageFrame& frame : client.messages())`.
  /// Begins to dial with begin(). A frame counts as done, and moves the cursor, when the next one
  /// is asked for. While the body of the loop runs, nothing is read and no ping is answered.
  /// Incrementing throws what start() throws. Leaving the loop ends the connection.
  Messages messages(OnCallbackError on_callback_error = {});

  /// Ends start() or the range: after the callback that runs, at once where it waits for anything,
  /// a back-off too. Where neither runs, the next one ends as soon as it begins. Any thread, also
  /// from callbacks; returns at once.
  void stop() noexcept;

  /// What the next dial asks for; the connection that is up stays. With CursorMode::after_callback
  /// frames move the cursor again once that dial was made. Any thread.
  /// Throws std::invalid_argument: a cursor outside 0 .. 2^53 - 1.
  void update_params(const Params& params);

  /// What the next dial would ask for: the last seq that is done. None: what comes next. Any
  /// thread.
  std::optional<Seq> cursor() const;
  /// Since the client was made. Any thread.
  ClientStats stats() const;

 protected:
  FirehoseClient(UpstreamKind kind, const Params& params, ClientOptions options);
  /// stop(), and waits until start() has returned where another thread is in it.
  ~FirehoseClient();

 private:
  friend class Messages;
  class Impl;
  std::shared_ptr<Impl> impl_;
};

/// A range of frames: see FirehoseClient::messages(). May outlive its client, which ends it. Moved
/// only before begin().
class Messages {
 public:
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = MessageFrame;
    using difference_type = std::ptrdiff_t;
    using pointer = const MessageFrame*;
    using reference = const MessageFrame&;

    const MessageFrame& operator*() const { return *range_->current_; }
    const MessageFrame* operator->() const { return &*range_->current_; }
    iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { range_->advance(); }
    bool operator==(std::default_sentinel_t) const { return !range_->current_; }

   private:
    friend class Messages;
    explicit iterator(Messages* range) : range_(range) {}
    Messages* range_;  // not ours
  };

  /// Waits for the first frame. Throws std::logic_error where the client runs already.
  iterator begin();
  std::default_sentinel_t end() const noexcept { return {}; }

  Messages(Messages&&) = default;
  Messages& operator=(Messages&&) = delete;
  ~Messages();

 private:
  friend class FirehoseClient;
  Messages(std::shared_ptr<FirehoseClient::Impl> impl, OnCallbackError on_callback_error);
  void advance();

  std::shared_ptr<FirehoseClient::Impl> impl_;  // null once moved from
  OnCallbackError on_callback_error_;
  std::optional<MessageFrame> current_;
  bool is_running_ = false;
};

/// com.atproto.sync.subscribeRepos, blocking.
class FirehoseSubscribeReposClient final : public FirehoseClient {
 public:
  /// Throws std::invalid_argument: base_uri, a cursor or a limit that is none, with what is
  /// allowed.
  explicit FirehoseSubscribeReposClient(const Params& params = {}, ClientOptions options = {})
      : FirehoseClient(UpstreamKind::repos, params, std::move(options)) {}
};

/// com.atproto.label.subscribeLabels, blocking.
class FirehoseSubscribeLabelsClient final : public FirehoseClient {
 public:
  /// Throws std::invalid_argument: base_uri, a cursor or a limit that is none, with what is
  /// allowed.
  explicit FirehoseSubscribeLabelsClient(const Params& params = {}, ClientOptions options = {})
      : FirehoseClient(UpstreamKind::labels, params, std::move(options)) {}
};

}  // namespace standpipe::firehose
