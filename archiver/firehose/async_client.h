// The two clients that do not block, for programs built on Asio.
//
//     AsyncFirehoseSubscribeReposClient client(co_await asio::this_coro::executor);
//     while (auto frame = co_await client.async_next(asio::use_awaitable)) { ... }
//
// Spec: as for client.h, of which these are the asynchronous form.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "archiver/firehose/client_options.h"
#include "archiver/firehose/errors.h"
#include "archiver/firehose/message_frame.h"
#include "schema/seq.h"

namespace standpipe::firehose {

/// What both asynchronous clients do. Make one of those.
///
/// A client runs on a strand of the executor that it is given, without a thread of its own; the
/// execution context outlives it. All of its functions may be called from any thread. Memory: as
/// FirehoseClient, and what is read ahead: queue_frames_max, queue_bytes_max.
///
/// Every `token` is a completion token of Asio's: a callback, use_future, use_awaitable, deferred.
/// Errors come as a std::exception_ptr in front of the other arguments, which use_future and
/// use_awaitable throw. Cancelled by its slot, an operation ends with
/// boost::system::system_error(operation_aborted). One operation at a time: the second ends with
/// std::logic_error.
class AsyncFirehoseClient {
 public:
  using OnMessage = std::function<void(const MessageFrame&)>;
  using OnMessageAsync = std::function<boost::asio::awaitable<void>(MessageFrame)>;

  AsyncFirehoseClient(const AsyncFirehoseClient&) = delete;
  AsyncFirehoseClient& operator=(const AsyncFirehoseClient&) = delete;

  /// Calls `on_message` with each frame, one at a time and in the order of their seqs; on the
  /// client's strand. Either `void(const MessageFrame&)` or `awaitable<void>(MessageFrame)`, which
  /// is awaited before the next. What it throws goes to `on_callback_error`, or else to the log,
  /// and the stream goes on.
  ///
  /// Completes with `void(std::exception_ptr)`: null after stop() or where CleanClose::stop ends
  /// it, FirehoseError for an error frame, FirehoseDecodingError under BadFrame::fail. May be
  /// started again then.
  template <typename Callback, typename Token>
  requires std::invocable<Callback&, MessageFrame>
  auto async_start(Callback on_message, OnCallbackError on_callback_error, Token&& token) {
    using Returned = std::invoke_result_t<Callback&, MessageFrame>;
    constexpr bool is_async = std::same_as<Returned, boost::asio::awaitable<void>>;
    static_assert(is_async || std::same_as<Returned, void>,
                  "on_message returns void or boost::asio::awaitable<void>");
    if constexpr (is_async) {
      return boost::asio::co_spawn(
          executor(),
          run(impl_, {}, OnMessageAsync(std::move(on_message)), std::move(on_callback_error)),
          std::forward<Token>(token));
    } else {
      return boost::asio::co_spawn(
          executor(),
          run(impl_, OnMessage(std::move(on_message)), {}, std::move(on_callback_error)),
          std::forward<Token>(token));
    }
  }

  /// The next frame. Dials with the first call; frames that come while none is asked for wait, up
  /// to the limits of the queue, and then in the socket. A frame counts as done, and moves the
  /// cursor, when the next one is asked for.
  ///
  /// Completes with `void(std::exception_ptr, std::optional<MessageFrame>)`: no frame where
  /// async_start() would have ended; the next call begins anew.
  template <typename Token>
  auto async_next(Token&& token) {
    return boost::asio::co_spawn(executor(), next(impl_), std::forward<Token>(token));
  }

  /// Ends what runs: after the callback that runs, at once where it waits for anything, a back-off
  /// too. Where nothing runs, what is started next ends as soon as it begins. Returns at once.
  void stop() noexcept;

  /// As FirehoseClient::update_params().
  void update_params(const Params& params);
  /// As FirehoseClient::cursor().
  std::optional<Seq> cursor() const;
  /// Since the client was made. Any thread.
  ClientStats stats() const;

  /// The strand on which callbacks are called.
  boost::asio::any_io_executor executor() const;

 protected:
  AsyncFirehoseClient(UpstreamKind kind, const boost::asio::any_io_executor& executor,
                      const Params& params, ClientOptions options);
  /// stop(). Does not wait: what is outstanding completes as after stop(), and a callback that runs
  /// on another thread runs to its end.
  ~AsyncFirehoseClient();

 private:
  class Impl;
  static boost::asio::awaitable<void> run(std::shared_ptr<Impl> impl, OnMessage on_message,
                                          OnMessageAsync on_message_async,
                                          OnCallbackError on_callback_error);
  static boost::asio::awaitable<std::optional<MessageFrame>> next(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;
};

/// com.atproto.sync.subscribeRepos, asynchronous.
class AsyncFirehoseSubscribeReposClient final : public AsyncFirehoseClient {
 public:
  /// Throws std::invalid_argument: base_uri, a cursor or a limit that is none, with what is
  /// allowed.
  explicit AsyncFirehoseSubscribeReposClient(const boost::asio::any_io_executor& executor,
                                             const Params& params = {}, ClientOptions options = {})
      : AsyncFirehoseClient(UpstreamKind::repos, executor, params, std::move(options)) {}
};

/// com.atproto.label.subscribeLabels, asynchronous.
class AsyncFirehoseSubscribeLabelsClient final : public AsyncFirehoseClient {
 public:
  /// Throws std::invalid_argument: base_uri, a cursor or a limit that is none, with what is
  /// allowed.
  explicit AsyncFirehoseSubscribeLabelsClient(const boost::asio::any_io_executor& executor,
                                              const Params& params = {}, ClientOptions options = {})
      : AsyncFirehoseClient(UpstreamKind::labels, executor, params, std::move(options)) {}
};

}  // namespace standpipe::firehose
