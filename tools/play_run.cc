#include "tools/play_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/values.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;
using play::ConnectionEnd;
using play::ConnectionRecord;
using play::HttpAnswer;

constexpr std::string_view kControl = "/play";
constexpr std::uint64_t kConnectionsUntilMax = 100'000;
// Clocks count nanoseconds in 64 bits, some 292 years of them.
constexpr std::int64_t kUntilMsMax = std::int64_t{36'500} * 24 * 3600 * 1000;
// How long a peer has, at the end, to take what it was sent and to go.
constexpr std::chrono::seconds kGrace{5};

HttpAnswer json_answer(int status, const json& body, play::HttpHeaders headers = {}) {
  headers.emplace_back("Content-Type", "application/json");
  return {status, std::move(headers),
          body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

HttpAnswer refusal(int status, std::string_view error, std::string_view message,
                   play::HttpHeaders headers = {}) {
  return json_answer(status, {{"error", error}, {"message", message}}, std::move(headers));
}

bool is_stream(std::string_view path) {
  return path == "/xrpc/com.atproto.sync.subscribeRepos" ||
         path == "/xrpc/com.atproto.label.subscribeLabels";
}

// As faults name frames: those at the beginning that have no seq have none to be named by.
std::vector<std::int64_t> seqs_of(const PlayFixture& fixture) {
  std::vector<std::int64_t> seqs;
  seqs.reserve(fixture.frames.size());
  for (const play::PlayFrame& frame : fixture.frames) {
    seqs.push_back(seqs.size() < fixture.first_numbered ? 0 : frame.seq);
  }
  return seqs;
}

}  // namespace

Result<void> parse_until(std::string_view text, PlayUntil& until) {
  const std::string_view name = text.substr(0, text.find('='));
  const auto number = [&]() -> Result<std::uint64_t> {
    return parse_count(text.substr(std::min(text.size(), name.size() + 1)), 1,
                       kConnectionsUntilMax);
  };
  if (text == "faults") {
    until.is_faults = true;
    return {};
  }
  if (text == "end") {
    until.caught_up = 1;
    return {};
  }
  if (name == "end" && number()) {
    until.caught_up = *number();
    return {};
  }
  if (name == "connections" && number()) {
    until.connections = *number();
    return {};
  }
  if (const auto ms = parse_duration_ms(text)) {
    if (*ms > kUntilMsMax) {
      return Error{Errc::invalid,
                   fmt::format("--until {}: longer than a hundred years, 36500d", one_line(text))};
    }
    until.ms = *ms;
    return {};
  }
  return Error{Errc::invalid,
               fmt::format("--until {}: give end, end=N, connections=N, faults, or a duration such "
                           "as 30s",
                           one_line(text))};
}

Result<std::unique_ptr<PlayRun>> PlayRun::start(PlayRunOptions options, PlayFixture fixture) {
  if (fixture.frames.empty()) return Error{Errc::invalid, "the fixture holds no frame"};
  if (options.pace == PlayPaceKind::speed && fixture.offsets_ms.empty()) {
    return Error{Errc::invalid, "--speed: no frame of the fixture carries a time; give --rate"};
  }
  std::unique_ptr<PlayRun> run(new PlayRun(std::move(options), fixture));
  STANDPIPE_TRY(run->book_, play::FaultBook::create(run->options_.scenario,
                                                    run->options_.scenario_file, seqs_of(fixture)));
  const auto release = [&self = *run](std::uint64_t frames) {
    self.released_ += frames;
    self.server().release(frames);
  };
  if (run->options_.pace == PlayPaceKind::speed) {
    run->pace_ =
        std::make_unique<PlayPace>(due_at_speed(fixture.offsets_ms, run->options_.factor), release);
  } else if (run->options_.pace == PlayPaceKind::rate) {
    run->pace_ = std::make_unique<PlayPace>(
        due_at_rate(fixture.frames.size(), run->options_.factor), release);
  }
  STANDPIPE_TRY(run->owned_, play::Server::start(run->server_options(std::move(fixture))));
  run->server_ = run->owned_.get();
  run->server_.notify_all();
  return run;
}

PlayRun::PlayRun(PlayRunOptions options, const PlayFixture& fixture)
    : options_(std::move(options)) {
  figures_.frames = fixture.frames.size();
  figures_.bytes = fixture.bytes;
  figures_.first_seq = fixture.frames.front().seq;
  figures_.last_seq = fixture.frames.back().seq;
}

// The pace calls the server, and the server's threads everything else here.
PlayRun::~PlayRun() {
  if (pace_ != nullptr) pace_->end();
  owned_.reset();
}

play::Server& PlayRun::server() const {
  server_.wait(nullptr);
  return *server_.load();
}

play::PlayOptions PlayRun::server_options(PlayFixture fixture) {
  play::PlayOptions options;
  options.frames = std::move(fixture.frames);
  options.floor = figures_.first_seq - 1;
  options.cursor_mode = options_.cursor_mode;
  options.begins_at_oldest = true;
  options.announces_outdated_cursor = true;
  options.is_complete = true;
  options.is_paced = options_.pace != PlayPaceKind::reader;
  options.tls = options_.tls;
  options.port = options_.port;
  options.connections_max = options_.connections_max;
  options.seqs_recorded_max = 0;
  options.http = [this](const ConnectionRecord& request) { return answer(request); };
  options.plan = [this](std::size_t number, const ConnectionRecord& request) {
    if (pace_ != nullptr) pace_->begin();
    return book_->plan(number, request);
  };
  options.on_fault = [this](play::FaultId id, const play::FaultSite& site) {
    return book_->happen(id, site);
  };
  return options;
}

std::string PlayRun::ready_text() const {
  const std::string address = fmt::format("127.0.0.1:{}", server().port());
  const std::string_view http = options_.tls ? "https" : "http";
  return json{{"url", server().url()},
              {"subscribe", server().url("/xrpc/com.atproto.sync.subscribeRepos")},
              {"control", fmt::format("{}://{}{}", http, address, kControl)},
              {"listen", json::array({address})},
              {"frames", figures_.frames},
              {"first_seq", figures_.first_seq},
              {"last_seq", figures_.last_seq},
              {"pid", ::getpid()}}
             .dump() +
         "\n";
}

bool PlayRun::is_over(const std::vector<ConnectionRecord>& connections) const {
  if (is_stopped_) return true;
  const PlayUntil& until = options_.until;
  if (until.is_faults && book_->have_all_happened()) return true;
  const auto count = [&](const auto& holds) {
    return static_cast<std::uint64_t>(std::count_if(connections.begin(), connections.end(), holds));
  };
  if (until.caught_up && count([](const ConnectionRecord& record) {
                           return record.is_caught_up;
                         }) >= *until.caught_up) {
    return true;
  }
  return until.connections && count([](const ConnectionRecord& record) {
                                return record.end != ConnectionEnd::open;
                              }) >= *until.connections;
}

void PlayRun::run(const StopSignal& signal) {
  using Clock = std::chrono::steady_clock;
  const auto end = options_.until.ms ? Clock::now() + std::chrono::milliseconds(*options_.until.ms)
                                     : Clock::time_point::max();
  const auto is_over_now = [&](const std::vector<ConnectionRecord>& connections) {
    return signal.was_raised() || is_over(connections);
  };
  server().wait(is_over_now, end);
  server().finish();
  server().wait([this](const auto&) { return server().open_connections() == 0; },
                Clock::now() + kGrace);
}

void PlayRun::stop() {
  is_stopped_ = true;
  server().touch();
}

play::FixtureFigures PlayRun::figures() const {
  play::FixtureFigures figures = figures_;
  if (options_.pace != PlayPaceKind::reader) figures.released = released_;
  return figures;
}

std::string PlayRun::report() const {
  return play::report_text(figures(), server().connections(), book_->accounts());
}

std::string PlayRun::missed() const { return play::missed_text(book_->accounts()); }

// What a real server says to such requests: design 7.
std::optional<HttpAnswer> PlayRun::answer(const ConnectionRecord& request) {
  const std::string_view path =
      std::string_view(request.target).substr(0, request.target.find('?'));
  if (path == kControl || path.starts_with("/play/")) return answer_control(request, path);
  if (!is_stream(path)) {
    return refusal(404, "NotFound",
                   "here are /xrpc/com.atproto.sync.subscribeRepos, "
                   "/xrpc/com.atproto.label.subscribeLabels, /play/report, /play/advance and "
                   "/play/stop");
  }
  if (request.method != "GET") {
    return refusal(405, "MethodNotAllowed", "a stream is asked for by GET", {{"Allow", "GET"}});
  }
  if (!play::has_token(request.header("Upgrade").value_or(""), "websocket")) {
    return refusal(426, "UpgradeRequired", "a stream is a WebSocket", {{"Upgrade", "websocket"}});
  }
  if (request.header("Sec-WebSocket-Version") != "13") {
    return refusal(426, "UpgradeRequired", "version 13 of WebSocket is spoken here",
                   {{"Sec-WebSocket-Version", "13"}});
  }
  return std::nullopt;
}

HttpAnswer PlayRun::answer_control(const ConnectionRecord& request, std::string_view path) {
  const bool is_report = path == "/play/report";
  if (!is_report && path != "/play/advance" && path != "/play/stop") {
    return refusal(404, "NotFound", "here are /play/report, /play/advance and /play/stop");
  }
  const std::string_view method = is_report ? "GET" : "POST";
  if (request.method != method) {
    return refusal(405, "MethodNotAllowed", fmt::format("{} is asked for by {}", path, method),
                   {{"Allow", std::string(method)}});
  }
  if (is_report) return {200, {{"Content-Type", "application/json"}}, report()};
  if (path == "/play/advance") return advance(request);
  stop();
  return json_answer(200, {{"stopping", true}});
}

HttpAnswer PlayRun::advance(const ConnectionRecord& request) {
  if (options_.pace != PlayPaceKind::stepped) {
    return refusal(409, "NotStepped", "frames go by themselves: run it with --stepped");
  }
  const std::string wanted = play::query_parameter(request.target, "frames").value_or("1");
  const auto frames = parse_count(wanted, 1, 1'000'000'000);
  if (!frames) {
    return refusal(400, "InvalidRequest", "frames: " + frames.error().detail);
  }
  const std::lock_guard lock(advance_);
  const std::uint64_t step = std::min(*frames, figures_.frames - released_);
  released_ += step;
  server().release(step);
  return json_answer(200, {{"released", released_.load()}, {"left", figures_.frames - released_}});
}

}  // namespace standpipe::tools
