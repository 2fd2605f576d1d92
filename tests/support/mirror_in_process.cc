#include "tests/support/mirror_in_process.h"

#include <charconv>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {

InProcessMirror::InProcessMirror(InProcessOptions options) : options_(std::move(options)) {}

InProcessMirror::~InProcessMirror() { crash(); }

Result<std::unique_ptr<InProcessMirror>> InProcessMirror::start(InProcessOptions options) {
  std::unique_ptr<InProcessMirror> mirror(new InProcessMirror(std::move(options)));
  STANDPIPE_CHECK(mirror->start());
  return mirror;
}

Result<void> InProcessMirror::start() {
  STANDPIPE_TRY(archive_, storage::Archive::open(options_.dir, options_.archive));
  storage::StreamSpec spec;
  spec.name = "repos";
  spec.url = options_.upstream_url;
  STANDPIPE_TRY(const storage::StreamInfo stream,
                archive_->ensure_stream(spec, /*change_upstream=*/true));
  replay::ServerHooks hooks;
  hooks.health = [this] { return health(); };
  hooks.is_catching_up = [this](std::string_view) { return is_catching_up(); };
  STANDPIPE_TRY(server_, replay::Server::start(*archive_, {{"127.0.0.1:0"}, {}}, options_.server,
                                               std::move(hooks), "test"));
  archiver::StreamCallbacks callbacks;
  callbacks.on_durable = [this, id = stream.id](storage::EpochNumber epoch,
                                                const storage::CommitReport& report) {
    server_->publish(id, epoch, report.runs);
  };
  callbacks.on_epoch_began = [this](storage::EpochNumber) { server_->refresh_streams(); };
  callbacks.on_fatal = [this](const Error& error) {
    const std::lock_guard lock(mutex_);
    fatal_ = error;
  };
  STANDPIPE_TRY(auto archiver, archiver::StreamArchiver::start(*archive_, stream, options_.stream,
                                                               std::move(callbacks)));
  const std::lock_guard lock(mutex_);
  archiver_ = std::move(archiver);
  return {};
}

std::uint16_t InProcessMirror::port() const {
  const std::string& address = server_->addresses().plain.front();
  std::uint16_t port = 0;
  const char* const end = address.data() + address.size();
  const auto [at, error] = std::from_chars(address.data() + address.rfind(':') + 1, end, port);
  STANDPIPE_ASSERT(error == std::errc() && at == end, address);
  return port;
}

std::optional<Error> InProcessMirror::fatal() const {
  const std::lock_guard lock(mutex_);
  return fatal_;
}

replay::HealthReport InProcessMirror::health() const {
  replay::HealthReport report;
  report.archive = archive_->health();
  return report;
}

bool InProcessMirror::is_catching_up() const {
  const std::lock_guard lock(mutex_);
  return archiver_ != nullptr && archiver_->status().state != archiver::StreamState::live;
}

void InProcessMirror::end() {
  if (server_ != nullptr) server_->stop();
  std::unique_ptr<archiver::StreamArchiver> archiver;
  {
    const std::lock_guard lock(mutex_);
    archiver.swap(archiver_);
  }
  if (archiver != nullptr) archiver->stop();
  archiver.reset();
  server_.reset();
}

void InProcessMirror::crash() {
  end();
  archive_.reset();
}

Result<void> InProcessMirror::close() {
  end();
  STANDPIPE_CHECK(archive_->close());
  archive_.reset();
  return {};
}

}  // namespace standpipe::test
