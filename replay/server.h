// The server: listens, and serves what the archive holds and what becomes durable.
//
//   publish() --> LiveLog of the stream --> network threads --> subscribers
//                                             ^
//                 archive --> read pool ------+
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "replay/forward.h"
#include "replay/health.h"
#include "replay/options.h"
#include "replay/stats.h"
#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::replay {

// What the server asks of whoever runs it. Called on network threads: nothing that blocks.
struct ServerHooks {
  std::function<HealthReport()> health;  // required
  // Whether more is about to come from the stream's upstream; null: never.
  std::function<bool(std::string_view stream)> is_catching_up;
  // Begins to pass a request on to the upstream of the stream that it names, for the thread of the
  // executor, or says why not. `place` is to be held for as long as anything is under way, also
  // where that outlives the server. Null: nothing is passed on.
  std::function<ForwardStart(const boost::asio::any_io_executor& executor, ForwardCall call,
                             std::shared_ptr<void> place)>
      forward;
};

struct ListenAddresses {
  std::vector<std::string> plain;
  std::vector<std::string> tls{};  // not empty: ServerOptions::tls_files names what it shows
  // Descriptors that listen already, handed over to the server; addresses() has where.
  std::vector<int> plain_inherited{};
  std::vector<int> tls_inherited{};

  bool has_tls() const { return !tls.empty() || !tls_inherited.empty(); }
  bool empty() const { return plain.empty() && plain_inherited.empty() && !has_tls(); }
  std::vector<std::string> all() const;  // plain, then tls
};

// Whether Server::start() would take it for an address; whether it can listen there is another
// question. invalid, with what is wanted.
Result<void> check_listen_address(std::string_view text);

class Server {
 public:
  // Listens at each address, "127.0.0.1:2480" or "[::1]:0"; port 0 takes a free one. `archive` must
  // outlive the server. invalid: not an address, or not what TLS needs; io: cannot listen there, or
  // a file cannot be read, and why.
  static Result<std::unique_ptr<Server>> start(const storage::Archive& archive,
                                               const ListenAddresses& addresses,
                                               ServerOptions options, ServerHooks hooks,
                                               std::string_view version);
  ~Server();  // stop(), if it was not called
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where it listens, with the ports that were taken; one for each address given.
  const ListenAddresses& addresses() const;

  // Shows a certificate that has been replaced to who connects from now on. Any thread; reads the
  // files only if they have changed, so it may be called often. Whether it was; of new files that
  // cannot be used the error, once, and the old certificate stays.
  Result<bool> reload_certificate();

  // What has become durable in the newest epoch of a stream, in order. One thread per stream. Call
  // it with every commit, after the commit: what is never published is served only as history.
  void publish(storage::StreamId stream, storage::EpochNumber epoch,
               const std::vector<storage::WireRunPtr>& runs);
  // A stream was made, or an epoch has begun: its subscribers end, so that they ask anew.
  void refresh_streams();

  // Any thread; waits for the network threads.
  ServerStats stats() const;
  std::map<std::string, std::size_t> live_bytes() const;  // of each stream's newest frames
  const ServerOptions& options() const;                   // as they are in effect

  // What the status page shows from now on: replay/status_board.h. Any thread.
  void show_status(const std::string& full, const std::string& tick);

  // Nobody new; every connection ends at a frame boundary, without a close frame: the one ending
  // after which all clients come back by themselves. Takes up to options.drain_timeout.
  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::replay
