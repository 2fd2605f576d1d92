#include "tools/mirror_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "archiver/firehose/upstream_url.h"
#include "replay/server.h"
#include "schema/base/log.h"
#include "storage/archive.h"
#include "tools/archive_options.h"
#include "tools/retention_options.h"
#include "tools/service_manager.h"
#include "tools/sim/spec.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

constexpr std::string_view kDefaultListen = "127.0.0.1:2480";

// Values as the table takes them, before they are judged together.
struct Given {
  MirrorOptions mirror;
  std::vector<std::string> upstreams, labelers, trusted_proxies;
  std::string from = "oldest";
  std::size_t density = 0;
  std::size_t on_reset = 0;
  std::size_t verify_ingest = 0;
  std::size_t cursor_mode = 0;
  std::uint64_t live_bytes = replay::LiveLog::Limits{}.bytes_max;
  std::uint64_t cache_bytes = mirror.archive.run_cache_bytes;
  std::uint64_t queue_bytes = archiver::StreamOptions{}.queue_bytes_max;
  std::uint64_t connections = replay::ServerOptions{}.connections_max;
  std::uint64_t connections_per_address = replay::ServerOptions{}.connections_per_address_max;
  bool has_no_forward = false;
  std::uint64_t forwards = replay::ServerOptions{}.forwards_max;
  std::uint64_t forwards_per_address = replay::ServerOptions{}.forwards_per_address_max;
  std::int64_t forward_timeout_ms = archiver::HttpForwardOptions{}.step_timeout.count();
  std::int64_t forward_time_ms = archiver::HttpForwardOptions{}.whole_timeout.count();
  std::uint64_t forward_bytes = archiver::HttpForwardOptions{}.body_bytes_max;
  std::uint64_t network_threads = 0;
  std::uint64_t read_threads = replay::ServerOptions{}.read_threads;
  std::uint64_t max_egress = 0, max_egress_per_subscriber = 0;
  std::int64_t commit_interval_ms = archiver::WriterOptions{}.commit_interval.count();
  std::int64_t connect_timeout_ms = firehose::WsOptions{}.connect_deadline.count();
  std::int64_t idle_timeout_ms = firehose::WsOptions{}.idle_timeout.count();
  std::int64_t reconnect_min_ms = firehose::ReconnectOptions{}.delay_min.count();
  std::int64_t reconnect_max_ms = firehose::ReconnectOptions{}.delay_max.count();
  std::int64_t future_cursor_wait_ms = replay::ServerOptions{}.future_cursor_wait.count();
  std::int64_t handshake_timeout_ms = replay::ServerOptions{}.handshake_timeout.count();
  std::int64_t stall_timeout_ms = replay::ServerOptions{}.stall_timeout.count();
  std::int64_t ping_interval_ms = replay::ServerOptions{}.ping_interval.count();
  std::int64_t drain_timeout_ms = replay::ServerOptions{}.drain_timeout.count();
  std::string log_level = "info";
  bool is_log_json = false;
  std::string admin = AdminOptions{}.address;
  std::string admin_token_file;
  bool is_quiet = false;
};

std::string with_default(std::string_view help, std::string_view value) {
  return fmt::format("{} (default {})", help, value);
}
std::string ms_help(std::string_view help, std::int64_t value) {
  return with_default(help, format_duration_ms(value));
}
std::string size_help(std::string_view help, std::uint64_t value) {
  return with_default(help, value == 0 ? "no limit" : format_size(value));
}
std::string count_help(std::string_view help, std::uint64_t value) {
  return with_default(help, format_count(value));
}

void add_archiver_options(OptionTable& table, Given& given) {
  table.list(
      "upstream", "[NAME=]URL", &given.upstreams,
      "A relay or PDS to archive: bsky.network, wss://HOST, ws://127.0.0.1:2480, or a network "
      "that is simulated: sim:, sim:seed=7,rate=340; repeatable (default name repos; none at "
      "all: those that the archive follows already)");
  table.list("labeler", "[NAME=]URL", &given.labelers,
             "A labeler to archive, or sim: as above; repeatable (default name: its host; labels)");
  table.flag("change-upstream", &given.mirror.is_upstream_change,
             "Allow another URL than the stream has");
  table.text("from", "oldest|newest|SEQ", &given.from,
             "Where an empty archive begins; SEQ is the first frame wanted (default oldest)");
  table.choice("density", {"auto", "dense", "sparse"}, &given.density,
               "Whether a skipped seq is a gap (relays: dense)");
  table.choice("on-upstream-reset", {"wait", "new-epoch"}, &given.on_reset,
               "When upstream has begun its seqs anew: wait for 'epoch new', or begin one");
  table.choice("verify-ingest", {"off", "structure", "full"}, &given.verify_ingest,
               "Judge frames behind the ingest's back, on a thread for each stream: counted in the "
               "status, told in the log, nothing dropped (docs/verify.md)");
  table.text("did-docs", "FILE", &given.mirror.did_docs,
             "DID documents, to check signatures with --verify-ingest full");
  table.text("tls-ca", "FILE", &given.mirror.stream.upstream.ws.tls_ca_file,
             "Trust the certificates in this PEM file, too");
  table.duration_ms("commit-interval", &given.commit_interval_ms,
                    ms_help("At least this long between commits: what comes meanwhile goes "
                            "together",
                            given.commit_interval_ms));
  table.size("queue-bytes", &given.queue_bytes,
             size_help("Between an upstream's socket and the disk", given.queue_bytes));
  table.duration_ms(
      "connect-timeout", &given.connect_timeout_ms,
      ms_help("For a whole dial: name, TCP, TLS, handshake, redirects", given.connect_timeout_ms));
  table.duration_ms("idle-timeout", &given.idle_timeout_ms,
                    ms_help("An upstream that sends nothing, not even a pong, is dialled anew",
                            given.idle_timeout_ms));
  table.duration_ms("reconnect-min", &given.reconnect_min_ms,
                    ms_help("First wait before a dial; it doubles", given.reconnect_min_ms));
  table.duration_ms("reconnect-max", &given.reconnect_max_ms,
                    ms_help("Longest wait before a dial", given.reconnect_max_ms));
}

void add_server_options(OptionTable& table, Given& given) {
  table.list("listen", "ADDR", &given.mirror.listen.plain,
             "Serve at this address; repeatable; port 0: any (default 127.0.0.1:2480, unless there "
             "is --listen-tls, or systemd passes a socket on)");
  table.list("listen-tls", "ADDR", &given.mirror.listen.tls,
             "Serve there over TLS; repeatable; needs --tls-cert and --tls-key");
  table.text("tls-cert", "FILE", &given.mirror.server.tls_files.certificate,
             "What --listen-tls shows: a PEM chain, ours first; read again when it changes");
  table.text("tls-key", "FILE", &given.mirror.server.tls_files.key,
             "The key of --tls-cert, in PEM, without a passphrase");
  table.list("trusted-proxy", "ADDR", &given.trusted_proxies,
             "Believe this proxy whom it speaks for (X-Forwarded-For): 127.0.0.1, 10.0.0.0/8; "
             "repeatable; limits per address then count its clients");
  table.choice("cursor-mode", {"exclusive", "inclusive"}, &given.cursor_mode,
               "Whether cursor N means behind N (as relays have it), or from N on");
  table.duration_ms("future-cursor-wait", &given.future_cursor_wait_ms,
                    ms_help("While catching up, a cursor above newest waits this long",
                            given.future_cursor_wait_ms));
  table.size("max-egress", &given.max_egress,
             size_help("Bytes a second to all subscribers together", given.max_egress));
  table.size("max-egress-per-subscriber", &given.max_egress_per_subscriber,
             size_help("Bytes a second to each", given.max_egress_per_subscriber));
  table.count("connections", &given.connections, 1, 1'000'000,
              count_help("Subscribers in total", given.connections));
  table.count("connections-per-address", &given.connections_per_address, 1, 1'000'000,
              count_help("Subscribers of one address", given.connections_per_address));
  table.size("live-bytes", &given.live_bytes,
             size_help("Newest frames kept in memory, for each stream", given.live_bytes));
  table.size("cache-bytes", &given.cache_bytes,
             size_help("Decoded frames of the archive kept in memory", given.cache_bytes));
  table.count("network-threads", &given.network_threads, 0, 64,
              "Threads that send (default 0: one for each core, up to 8)");
  table.count("read-threads", &given.read_threads, 1, 64,
              count_help("Threads that read the archive", given.read_threads));
  table.duration_ms("handshake-timeout", &given.handshake_timeout_ms,
                    ms_help("For a request to arrive whole", given.handshake_timeout_ms));
  table.duration_ms(
      "stall-timeout", &given.stall_timeout_ms,
      ms_help("A subscriber that takes nothing for so long is ended", given.stall_timeout_ms));
  table.duration_ms("ping-interval", &given.ping_interval_ms,
                    ms_help("Without a write of ours, a ping", given.ping_interval_ms));
  table.duration_ms(
      "drain-timeout", &given.drain_timeout_ms,
      ms_help("At the end, for subscribers to reach the end of a frame", given.drain_timeout_ms));
}

// Of a process that does both.
void add_forwarding_options(OptionTable& table, Given& given) {
  table.flag("no-forward", &given.has_no_forward,
             "Answer getRepo, listRepos and the like with 501, instead of passing them on to the "
             "upstream");
  table.count("forwards", &given.forwards, 1, 10'000,
              count_help("Requests that are passed on at once", given.forwards));
  table.count("forwards-per-address", &given.forwards_per_address, 1, 10'000,
              count_help("Of these, for one address", given.forwards_per_address));
  table.duration_ms("forward-timeout", &given.forward_timeout_ms,
                    ms_help("For an upstream to begin its answer, and to go on with it",
                            given.forward_timeout_ms));
  table.duration_ms("forward-time", &given.forward_time_ms,
                    ms_help("For a whole answer of an upstream", given.forward_time_ms));
  table.size("forward-bytes", &given.forward_bytes,
             size_help("A larger answer of an upstream is not passed on", given.forward_bytes));
}

void add_common_options(OptionTable& table, Given& given) {
  table.text("admin", "ADDR|none", &given.admin,
             with_default("Metrics for Prometheus at http://ADDR/metrics, health at /healthz; port "
                          "0: any; beyond loopback only with a token",
                          given.admin));
  table.text("admin-token-file", "FILE", &given.admin_token_file,
             "Answer there only who sends 'Authorization: Bearer' with what FILE holds");
  table.text("ready-file", "FILE", &given.mirror.ready_file,
             "Write {\"admin\": \"...\", \"listen\": [...], \"pid\": N} there once everything "
             "runs");
  table.duration_ms("status-interval", &given.mirror.status_interval_ms,
                    ms_help("Between lines of status", given.mirror.status_interval_ms));
  table.flag("json", &given.mirror.is_json, "Status as JSON lines on standard output");
  table.flag("quiet", &given.is_quiet, "No status");
  table.text("log-level", "debug|info|warn|error", &given.log_level, "(default info)");
  table.flag("log-json", &given.is_log_json, "The log as JSON lines");
}

Result<archiver::From> parse_from(std::string_view text) {
  if (text == "oldest") return archiver::From(archiver::FromOldest{});
  if (text == "newest") return archiver::From(archiver::FromNewest{});
  const auto seq = parse_seq(text);
  if (!seq || *seq < kSeqMin) {
    return Error{Errc::invalid,
                 fmt::format("--from: '{}' is none of oldest, newest, or a seq from 1 on", text)};
  }
  return archiver::From(archiver::FromSeq{*seq});
}

Result<void> take_streams(Given& given) {
  const auto add = [&given](const std::vector<std::string>& texts, storage::StreamKind kind,
                            std::string_view option) -> Result<void> {
    for (const std::string& text : texts) {
      auto spec = parse_stream_option(text, kind);
      if (!spec) return Error{Errc::invalid, fmt::format("{}: {}", option, spec.error().detail)};
      spec->density = static_cast<storage::Density>(given.density);
      for (const storage::StreamSpec& other : given.mirror.streams) {
        if (other.name != spec->name) continue;
        return Error{Errc::invalid,
                     fmt::format("{}: there are two streams of the name '{}': give one another "
                                 "name, as in other={}",
                                 option, spec->name, text)};
      }
      given.mirror.streams.push_back(std::move(*spec));
    }
    return {};
  };
  STANDPIPE_CHECK(add(given.upstreams, storage::StreamKind::repos, "--upstream"));
  return add(given.labelers, storage::StreamKind::labels, "--labeler");
}

Result<void> take_admin(Given& given) {
  const bool has_file = !given.admin_token_file.empty();
  if (given.admin == "none") {
    if (!has_file) return {};
    return Error{Errc::invalid, "--admin-token-file: of no use with --admin none"};
  }
  AdminOptions admin;
  admin.address = given.admin;
  if (has_file) {
    auto token = read_token_file(given.admin_token_file);
    if (!token) return Error{Errc::invalid, "--admin-token-file: " + token.error().detail};
    admin.token = std::move(*token);
  }
  const auto checked = check_admin_options(admin);
  if (!checked) return Error{Errc::invalid, "--admin: " + checked.error().detail};
  given.mirror.admin = std::move(admin);
  return {};
}

Result<void> complete_listen(replay::ListenAddresses& listen, const replay::TlsFiles& tls) {
  STANDPIPE_TRY(InheritedSockets inherited, take_inherited_sockets());
  listen.plain_inherited = std::move(inherited.plain);
  listen.tls_inherited = std::move(inherited.tls);
  if (listen.empty()) listen.plain.emplace_back(kDefaultListen);
  for (const std::string& address : listen.plain) {
    const auto checked = replay::check_listen_address(address);
    if (!checked) return Error{Errc::invalid, "--listen: " + checked.error().detail};
  }
  for (const std::string& address : listen.tls) {
    const auto checked = replay::check_listen_address(address);
    if (!checked) return Error{Errc::invalid, "--listen-tls: " + checked.error().detail};
  }
  const bool has_files = !tls.certificate.empty() && !tls.key.empty();
  if (listen.has_tls() && !has_files) {
    return Error{Errc::invalid, "--listen-tls: needs --tls-cert FILE and --tls-key FILE"};
  }
  const bool has_any_file = !tls.certificate.empty() || !tls.key.empty();
  if (!listen.has_tls() && has_any_file) {
    return Error{Errc::invalid, "--tls-cert and --tls-key: of use with --listen-tls alone"};
  }
  return {};
}

// What the table cannot judge option by option. Every error is one of usage.
Result<void> complete(Given& given) {
  using std::chrono::milliseconds;
  MirrorOptions& mirror = given.mirror;
  STANDPIPE_CHECK(take_streams(given));
  archiver::StreamOptions& stream = mirror.stream;
  STANDPIPE_TRY(stream.writer.from, parse_from(given.from));
  if (given.reconnect_max_ms < given.reconnect_min_ms) {
    return Error{Errc::invalid, "--reconnect-max is less than --reconnect-min"};
  }
  stream.writer.commit_interval = milliseconds(given.commit_interval_ms);
  stream.writer.on_upstream_reset = static_cast<archiver::OnUpstreamReset>(given.on_reset);
  stream.check.verify = static_cast<archiver::VerifyIngest>(given.verify_ingest);
  if (!mirror.did_docs.empty() && stream.check.verify != archiver::VerifyIngest::full) {
    return Error{Errc::invalid, "--did-docs: of use with --verify-ingest full alone"};
  }
  const std::string& ca = stream.upstream.ws.tls_ca_file;
  if (!ca.empty() && ::access(ca.c_str(), R_OK) != 0) {
    return Error{Errc::invalid,
                 fmt::format("--tls-ca: cannot read {}: {}", ca, std::strerror(errno))};
  }
  stream.upstream.ws.connect_deadline = milliseconds(given.connect_timeout_ms);
  stream.upstream.ws.idle_timeout = milliseconds(given.idle_timeout_ms);
  stream.upstream.ws.user_agent = fmt::format("standpipe/{}", mirror.version);
  stream.upstream.reconnect.delay_min = milliseconds(given.reconnect_min_ms);
  stream.upstream.reconnect.delay_max = milliseconds(given.reconnect_max_ms);
  stream.queue_bytes_max = given.queue_bytes;

  replay::ServerOptions& server = mirror.server;
  if (mirror.serves) STANDPIPE_CHECK(complete_listen(mirror.listen, server.tls_files));
  for (const std::string& proxy : given.trusted_proxies) {
    const auto added = server.trusted_proxies.add(proxy);
    if (!added) return Error{Errc::invalid, "--trusted-proxy: " + added.error().detail};
  }
  server.cursor_mode = static_cast<replay::CursorMode>(given.cursor_mode);
  server.future_cursor_wait = milliseconds(given.future_cursor_wait_ms);
  server.handshake_timeout = milliseconds(given.handshake_timeout_ms);
  server.stall_timeout = milliseconds(given.stall_timeout_ms);
  server.ping_interval = milliseconds(given.ping_interval_ms);
  server.drain_timeout = milliseconds(given.drain_timeout_ms);
  server.egress_max = given.max_egress;
  server.egress_per_subscriber_max = given.max_egress_per_subscriber;
  server.connections_max = given.connections;
  server.connections_per_address_max = given.connections_per_address;
  server.forwards_max = given.forwards;
  server.forwards_per_address_max = given.forwards_per_address;
  mirror.forwards = !given.has_no_forward;
  mirror.forwarding.step_timeout = milliseconds(given.forward_timeout_ms);
  mirror.forwarding.whole_timeout = milliseconds(given.forward_time_ms);
  mirror.forwarding.body_bytes_max = given.forward_bytes;
  mirror.forwarding.user_agent = stream.upstream.ws.user_agent;
  mirror.forwarding.tls_ca_file = ca;
  server.live_log.bytes_max = given.live_bytes;
  server.network_threads = given.network_threads;
  server.read_threads = given.read_threads;
  mirror.archive.run_cache_bytes = given.cache_bytes;
  STANDPIPE_CHECK(check_retention(mirror.archive));
  if (given.is_quiet) mirror.status_interval_ms = 0;
  STANDPIPE_CHECK(take_admin(given));

  auto level = parse_log_level(given.log_level);
  if (!level) return Error{Errc::invalid, "--log-level: " + level.error().detail};
  log_set_level(*level);
  log_set_form(given.is_log_json ? LogForm::json : LogForm::text);
  return {};
}

}  // namespace

Result<storage::StreamSpec> parse_stream_option(std::string_view text, storage::StreamKind kind) {
  storage::StreamSpec spec;
  spec.kind = kind;
  std::string_view url = text;
  // A URL of ours has no query, so what stands before an equals sign is a name; but for `sim:`.
  const std::size_t equals = sim::is_sim_url(text) ? std::string_view::npos : text.find('=');
  if (equals != std::string_view::npos) {
    spec.name = text.substr(0, equals);
    url = text.substr(equals + 1);
    if (spec.name.empty()) return Error{Errc::invalid, "wanted [NAME=]URL, and the name is empty"};
  }
  const bool is_repos = kind == storage::StreamKind::repos;
  if (sim::is_sim_url(url)) {
    STANDPIPE_CHECK(sim::parse_spec(url));
    spec.url = url;  // completed where the archive is at hand
    if (spec.name.empty()) spec.name = is_repos ? "repos" : "labels";
  } else {
    STANDPIPE_TRY(const firehose::UpstreamUrl parsed,
                  firehose::parse_upstream_url(url, is_repos ? firehose::UpstreamKind::repos
                                                             : firehose::UpstreamKind::labels));
    spec.url = to_string(parsed);
    if (spec.name.empty()) spec.name = is_repos ? "repos" : parsed.host;
  }
  STANDPIPE_CHECK(storage::check_stream_name(spec.name));
  return spec;
}

Verb make_mirror_verb(MirrorVerb description) {
  const auto given = std::make_shared<Given>();
  given->mirror.version = description.version;
  given->mirror.archives = description.archives;
  given->mirror.serves = description.serves;
  Verb verb;
  verb.name = description.name;
  verb.summary = std::move(description.summary);
  verb.examples = std::move(description.examples);
  OptionTable& table = verb.options;
  table.text("data", "DIR", &given->mirror.data,
             description.archives ? "The archive; made if there is none" : "The archive");
  table.required();
  if (description.archives) add_archiver_options(table, *given);
  if (description.serves) add_server_options(table, *given);
  if (description.archives && description.serves) add_forwarding_options(table, *given);
  if (description.archives) {
    add_retention_options(table, given->mirror.archive.retention);
    add_archive_options(table, given->mirror.archive);
  }
  add_common_options(table, *given);
  verb.run = [given, name = verb.name] {
    if (auto completed = complete(*given); !completed) {
      return fail_usage(name, completed.error().detail);
    }
    return run_mirror(name, given->mirror);
  };
  return verb;
}

}  // namespace standpipe::tools
