#include "archiver/firehose/ws_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <utility>

#include "archiver/firehose/ws_connection.h"

namespace standpipe::firehose {

class WsClient::Impl {
 public:
  explicit Impl(WsOptions options) : connection_(io_.get_executor(), std::move(options)) {}

  WsEnd run(const UpstreamUrl& url, std::optional<Seq> cursor, WsHandler& handler) {
    std::exception_ptr thrown;
    WsEnd end;
    boost::asio::co_spawn(io_, connection_.run(url, cursor, handler),
                          [&](std::exception_ptr error, WsEnd result) {
                            thrown = std::move(error);
                            end = std::move(result);
                          });
    io_.run();
    if (thrown) std::rethrow_exception(thrown);
    return end;
  }

  void stop() { connection_.stop(); }
  void resume() { connection_.resume(); }

 private:
  boost::asio::io_context io_{1};
  WsConnection connection_;
};

WsClient::WsClient(WsOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
WsClient::~WsClient() = default;

WsEnd WsClient::run(const UpstreamUrl& url, std::optional<Seq> cursor, WsHandler& handler) {
  return impl_->run(url, cursor, handler);
}
void WsClient::stop() { impl_->stop(); }
void WsClient::resume() { impl_->resume(); }

}  // namespace standpipe::firehose
