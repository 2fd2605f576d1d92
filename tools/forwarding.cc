#include "tools/forwarding.h"

#include <fmt/format.h>

#include <utility>

namespace standpipe::tools {
namespace {

namespace asio = boost::asio;

class UpstreamForward final : public replay::Forward {
 public:
  UpstreamForward(std::unique_ptr<archiver::HttpForward> asked, std::shared_ptr<void> place)
      : asked_(std::move(asked)), place_(std::move(place)) {}

  asio::awaitable<Result<replay::ForwardedHead>> begin() override {
    Result<archiver::HttpForwardHead> answer = co_await asked_->begin();
    if (!answer) co_return answer.error();
    replay::ForwardedHead head;
    head.status = answer->status;
    head.headers = std::move(answer->fields);
    // It is not our page, although it stands under our name.
    head.headers.emplace_back("X-Content-Type-Options", "nosniff");
    head.headers.emplace_back("Content-Security-Policy", "default-src 'none'; sandbox");
    head.body_bytes = answer->body_bytes;
    co_return head;
  }

  asio::awaitable<Result<std::string>> more() override { return asked_->more(); }
  void cancel() override { asked_->cancel(); }

 private:
  const std::unique_ptr<archiver::HttpForward> asked_;
  const std::shared_ptr<void> place_;
};

}  // namespace

Forwarding::Forwarding(std::shared_ptr<const archiver::HttpForwarder> forwarder,
                       std::map<std::string, firehose::UpstreamUrl, std::less<>> upstreams)
    : forwarder_(std::move(forwarder)), upstreams_(std::move(upstreams)) {}

Result<std::unique_ptr<Forwarding>> Forwarding::make(
    archiver::HttpForwardOptions options,
    std::map<std::string, firehose::UpstreamUrl, std::less<>> upstreams) {
  STANDPIPE_TRY(auto forwarder, archiver::HttpForwarder::make(std::move(options)));
  return std::unique_ptr<Forwarding>(new Forwarding(std::move(forwarder), std::move(upstreams)));
}

replay::ForwardStart Forwarding::forward(const asio::any_io_executor& executor,
                                         replay::ForwardCall call,
                                         std::shared_ptr<void> place) const {
  const auto upstream = upstreams_.find(call.request.stream);
  if (upstream == upstreams_.end()) {
    return replay::Refusal{501,
                           {},
                           "MethodNotImplemented",
                           fmt::format("{} is for the upstream of stream {} to answer, and it has "
                                       "none here, or one that is simulated",
                                       call.request.nsid, call.request.stream)};
  }
  archiver::HttpForwardRequest request;
  request.is_post = call.request.is_post;
  request.nsid = std::move(call.request.nsid);
  request.query = std::move(call.request.query);
  request.fields = std::move(call.headers);
  request.body = std::move(call.body);
  auto asked = archiver::HttpForwarder::forward(forwarder_, executor, upstream->second,
                                                std::move(request), place);
  return std::make_shared<UpstreamForward>(std::move(asked), std::move(place));
}

}  // namespace standpipe::tools
