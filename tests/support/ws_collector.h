// For tests of one connection to an upstream: what came over it, and how it ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archiver/firehose/ws_client.h"
#include "tests/support/frames.h"
#include "tests/support/scripted_upstream.h"

namespace standpipe::test {

// What came, in short: "17 bytes", "text 5 bytes", "65536 of 6000000 bytes".
class Collector final : public firehose::WsHandler {
 public:
  explicit Collector(std::size_t wanted = SIZE_MAX) : wanted_(wanted) {}

  firehose::Flow on_open(const firehose::WsOpened& opened) override {
    opened_ = opened;
    return firehose::Flow::go_on;
  }
  firehose::Flow on_message(const firehose::WsMessage& message) override {
    std::string said = message.is_text ? "text " : "";
    said += std::to_string(message.bytes.size());
    if (!message.is_whole()) said += " of " + std::to_string(message.bytes_total);
    said_.push_back(said + " bytes");
    last_.assign(as_text(message.bytes));
    return said_.size() < wanted_ ? firehose::Flow::go_on : firehose::Flow::end;
  }

  const std::vector<std::string>& said() const { return said_; }
  const std::string& last() const { return last_; }
  const firehose::WsOpened& opened() const { return opened_; }

 private:
  const std::size_t wanted_;
  std::vector<std::string> said_;
  std::string last_;
  firehose::WsOpened opened_;
};

inline firehose::UpstreamUrl repos_url(const std::string& text) {
  return firehose::parse_upstream_url(text, firehose::UpstreamKind::repos).value();
}

inline firehose::UpstreamUrl url_of(const ScriptedUpstream& upstream) {
  return repos_url(upstream.url());
}

inline firehose::WsEnd run(const firehose::UpstreamUrl& url, Collector& collector,
                           firehose::WsOptions options = {}, std::optional<Seq> cursor = Seq{0}) {
  firehose::WsClient client(std::move(options));
  return client.run(url, cursor, collector);
}

inline std::string kind_of(const firehose::WsEnd& end) { return std::string(to_string(end.kind)); }

// An upstream of the frames of seq `first` to `last`, inclusive.
inline UpstreamOptions serving(std::int64_t first, std::int64_t last,
                               std::optional<TlsIdentity> identity = {}) {
  UpstreamOptions options;
  for (std::int64_t seq = first; seq <= last; ++seq) {
    options.frames.push_back({seq, make_frame(seq)});
  }
  options.tls = std::move(identity);
  return options;
}

}  // namespace standpipe::test
