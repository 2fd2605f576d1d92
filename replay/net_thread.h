// One network thread: its connections, its subscribers, and whose turn it is.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "replay/backfill.h"
#include "replay/egress.h"
#include "replay/feed.h"
#include "replay/forward.h"
#include "replay/http_session.h"
#include "replay/options.h"
#include "replay/stats.h"
#include "replay/tls_context.h"

namespace standpipe::replay {

// What the threads of a server share, and ask of it.
class ServerContext {
 public:
  virtual ~ServerContext() = default;

  virtual const storage::Archive& archive() const = 0;
  virtual const ServerOptions& options() const = 0;
  virtual Feeds& feeds() = 0;
  virtual ReadPool& read_pool() = 0;
  virtual SharedBucket& egress() = 0;
  virtual std::string server_name() const = 0;

  // Any thread, as all that follow.
  virtual HttpReply answer(const PlainRoute& route) = 0;
  virtual std::optional<HttpReply> page(std::string_view target) = 0;
  virtual bool is_catching_up(const std::string& stream) = 0;
  virtual ForwardStart forward(const boost::asio::any_io_executor& executor, ForwardCall call) = 0;
  // Room for one more subscriber from that address; what was taken must be given back.
  virtual std::optional<Refusal> take_place(const boost::asio::ip::address& address) = 0;
  virtual void give_place_back(const boost::asio::ip::address& address) = 0;
};

// Sockets are pinned to a thread when they are accepted; nothing of a connection is touched by
// another one. Turns: each live subscriber that has something to get, one slice; then replays, for
// some milliseconds; then whatever the network brought.
class NetThread {
 public:
  explicit NetThread(ServerContext& server);
  ~NetThread();
  NetThread(const NetThread&) = delete;
  NetThread& operator=(const NetThread&) = delete;

  // For sockets that are accepted for this thread.
  boost::asio::any_io_executor executor();

  // Any thread, up to stop().
  // `socket`: accepted, of this executor; `tls`: null for plain HTTP.
  void serve(boost::asio::ip::tcp::socket socket, TlsContextPtr tls);
  std::size_t connections() const;  // open, subscribers included; a moment old
  void wake();  // something was published, or an epoch has ended; costs one post for any number
  // Takes nobody new, and ends all subscribers at a frame boundary; calls `done` on the thread once
  // the last is gone, at the latest after options().drain_timeout.
  void drain(std::function<void()> done);
  ServerStats stats() const;  // waits for the thread; not after stop()
  // Ends what is left, without ceremony, and the thread. Reads of the archive that are under way
  // may still report to this object, which does not listen any more: it must outlive the read pool.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::replay
