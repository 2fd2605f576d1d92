// A directory of DID documents on loopback, in the shape of plc.directory: GET /did:plc:... It
// answers as the test says, also wrongly, or not at all.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/loopback_listener.h"
#include "tests/support/net_stream.h"
#include "tools/play/http_wire.h"

namespace standpipe::test {

using tools::play::HttpHeaders;

struct DirectoryReply {
  int status = 200;
  std::string body;
  HttpHeaders headers;      // beside Content-Length
  bool is_silent = false;   // no answer: the connection stays as it is
  bool ends_after = false;  // the connection ends behind the answer, without a word before it
  bool ends_instead = false;
};

class HttpDirectory {
 public:
  // `answer` is called with the target of each request, on whatever thread, one at a time.
  using Answer = std::function<DirectoryReply(const std::string& target)>;
  explicit HttpDirectory(Answer answer, TlsContext tls = nullptr);
  ~HttpDirectory();
  HttpDirectory(const HttpDirectory&) = delete;
  HttpDirectory& operator=(const HttpDirectory&) = delete;

  std::uint16_t port() const { return listener_.port; }
  std::string url() const;                    // "http://127.0.0.1:43121"
  std::vector<std::string> requests() const;  // targets, in order
  std::string user_agent() const;             // of the newest request
  std::size_t connections() const;            // accepted so far

 private:
  void accept_all();
  void wait(int fd, short events) const;  // or until this is to end
  void serve(NetStream stream);
  bool write(NetStream& stream, const std::string& text) const;

  const Answer answer_;
  const TlsContext tls_;
  const LoopbackListener listener_;
  std::atomic<bool> is_stopping_ = false;
  const WakeEvent wake_;      // never cleared: each thread sees the end
  mutable std::mutex mutex_;  // guards what follows, and orders the answers
  std::vector<std::string> requests_;
  std::string user_agent_;
  std::size_t connections_ = 0;
  std::list<std::thread> workers_;  // of the accepting thread
  std::thread thread_;
};

}  // namespace standpipe::test
