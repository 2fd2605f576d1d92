// Requests that the upstream of a stream answers: replay/, which has them, joined with archiver/,
// which asks.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <memory>
#include <string>

#include "archiver/firehose/upstream_url.h"
#include "archiver/http_forward.h"
#include "replay/forward.h"
#include "schema/base/result.h"

namespace standpipe::tools {

class Forwarding {
 public:
  // By stream; one without is simulated, or nobody follows it in this process. io: the certificates
  // cannot be read.
  static Result<std::unique_ptr<Forwarding>> make(
      archiver::HttpForwardOptions options,
      std::map<std::string, firehose::UpstreamUrl, std::less<>> upstreams);

  // Any thread: what ServerHooks::forward is.
  replay::ForwardStart forward(const boost::asio::any_io_executor& executor,
                               replay::ForwardCall call, std::shared_ptr<void> place) const;

 private:
  Forwarding(std::shared_ptr<const archiver::HttpForwarder> forwarder,
             std::map<std::string, firehose::UpstreamUrl, std::less<>> upstreams);

  const std::shared_ptr<const archiver::HttpForwarder> forwarder_;
  const std::map<std::string, firehose::UpstreamUrl, std::less<>> upstreams_;
};

}  // namespace standpipe::tools
