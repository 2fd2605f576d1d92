#include "tests/soak/soak_run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "tests/support/http_exchange.h"
#include "tests/support/process.h"
#include "tests/support/subscriber.h"
#include "tests/support/upstream_fixture.h"
#include "tools/sim/network.h"
#include "tools/sim/spec.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

void tell(const std::string& text) { std::fprintf(stderr, "soak: %s\n", text.c_str()); }

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

Outcome run_or_fail(const std::vector<std::string>& arguments) {
  Outcome outcome = run_standpipe(arguments);
  if (outcome.status != 0) {
    fail(fmt::format("{} ended with {}: {}{}", arguments.front(), outcome.status, outcome.err,
                     outcome.out.substr(0, 4'000)));
  }
  return outcome;
}

template <typename Of>
double median_of(const std::vector<ProcessSize>& sizes, std::size_t first, std::size_t last,
                 const Of& of) {
  std::vector<double> values;
  for (std::size_t i = first; i < last; ++i) values.push_back(of(sizes[i]));
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

SoakRun::SoakRun(const SoakOptions& options)
    : options_(options),
      last_(static_cast<std::int64_t>(options.minutes * 60 * static_cast<double>(options.rate))),
      random_(options.seed),
      start_(fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                         std::chrono::floor<seconds>(std::chrono::system_clock::now()))),
      shared_(last_),
      begin_(steady_clock::now()) {
  raise_descriptor_limit();
  const tools::sim::NetworkOptions network = tools::sim::parse_spec(network_text()).value().network;
  host_ = std::make_unique<NetworkProcess>(std::vector<std::string>{
      "simulate", "--seed", std::to_string(network.seed), "--start", start_, "--rate",
      std::to_string(network.rate), "--frames", std::to_string(network.frames), "--accounts",
      std::to_string(network.accounts)});
  // A redial makes the host pass over all that has been: in a long run they come less often.
  const auto between =
      milliseconds(static_cast<std::int64_t>(std::max(20.0, options.minutes) * 1'000));
  proxy_ = std::make_unique<FaultProxy>(host_->port(), options.seed, between);
  begin_life();
  const std::pair<Habit, std::size_t> crowd[] = {
      {Habit::follows, 4}, {Habit::comes, 4}, {Habit::stalls, 4}, {Habit::lies, 2}};
  std::uint64_t seed = options.seed * 1'000;
  for (const auto& [habit, count] : crowd) {
    for (std::size_t i = 0; i < count; ++i) {
      consumers_.push_back(std::make_unique<Consumer>(shared_, habit, ++seed));
    }
  }
  next_restart_ = next_backup_ = steady_clock::now() + seconds(20);
}

SoakRun::~SoakRun() { shared_.is_over = true; }

std::string SoakRun::network_text() const {
  return fmt::format("sim:seed={},start={},rate={},frames={},accounts=2000", options_.seed, start_,
                     options_.rate, last_);
}

bool SoakRun::is_calm() const {
  return steady_clock::now() - begin_ > seconds(static_cast<std::int64_t>(options_.minutes * 40));
}

// -- The mirror's lives ---------------------------------------------------------------------------

// Small partitions, a small live log and a small cache: rolls, drops, falling back to the archive
// and full caches are all near.
void SoakRun::begin_life() {
  mirror_ = std::make_unique<NetworkProcess>(std::vector<std::string>{
      "mirror", "--data", (dir_ / "archive").string(), "--upstream",
      fmt::format("ws://127.0.0.1:{}", proxy_->port()), "--quiet", "--min-free", "256MiB",
      "--reconnect-min", "50ms", "--reconnect-max", "1s", "--retain-bytes", options_.retain_bytes,
      "--live-bytes", "16MiB", "--cache-bytes", "16MiB"});
  shared_.port = mirror_->port();
  sizes_.clear();
}

void SoakRun::end_life(bool is_killed) {
  shared_.port = 0;
  if (is_killed) {
    ++kills_;
    mirror_->kill();
  } else {
    ++stops_;
    const Outcome outcome = mirror_->stop();
    if (outcome.status != 0) fail("the mirror did not end well: " + outcome.err);
  }
  mirror_.reset();
  if (is_killed) check_newest_after_kill();
}

// Durable before served: what anybody has got is in what the dead process left.
void SoakRun::check_newest_after_kill() const {
  const std::int64_t seen = shared_.deliveries.newest();
  const Outcome outcome = run_or_fail({"inspect", "--data", (dir_ / "archive").string(), "--json"});
  const json stream = json::parse(outcome.out)["streams"][0];
  const std::int64_t newest = stream["epochs"].back()["newest"].get<std::int64_t>();
  if (newest < seen) fail(fmt::format("seq {} was served, and {} is the newest", seen, newest));
}

void SoakRun::restart_if_due() {
  if (is_calm() || steady_clock::now() < next_restart_) return;
  end_life(/*is_killed=*/!random_.chance(4));
  begin_life();
  next_restart_ = steady_clock::now() + seconds(15 + random_.below(25));
}

void SoakRun::back_up_if_due() {
  if (steady_clock::now() < next_backup_) return;
  run_or_fail({"backup", "--data", (dir_ / "archive").string(), "--output",
               (dir_ / "backup").string(), "--quiet"});
  ++backups_;
  next_backup_ = steady_clock::now() + seconds(40 + random_.below(30));
}

std::int64_t SoakRun::durable() const {
  const json health = json::parse(http_get(mirror_->port(), "/xrpc/_health").body);
  const json& seq = health["streams"][0]["seq"];
  return seq.is_number() ? seq.get<std::int64_t>() : 0;
}

void SoakRun::look_at_size() { sizes_.push_back(process_size(mirror_->id())); }

void SoakRun::tell_progress() {
  const auto gone = std::chrono::floor<seconds>(steady_clock::now() - begin_);
  const ProcessSize& size = sizes_.back();
  tell(
      fmt::format("{:%H:%M:%S} seq {} of {}, {} delivered over {} connections, {:.0f} MB, {} "
                  "descriptors; {} kills, {} restarts, {} backups, {} faults upstream",
                  gone, durable(), last_, shared_.deliveries.frames(), shared_.connections.load(),
                  megabytes(size.resident_bytes), size.descriptors, kills_, stops_, backups_,
                  proxy_->faults()));
}

void SoakRun::go() {
  // Frames come no faster than the clock; what is late by as much again never comes.
  const auto deadline =
      begin_ + seconds(static_cast<std::int64_t>(options_.minutes * 120)) + seconds(60);
  for (std::size_t look = 0; durable() < last_; ++look) {
    if (steady_clock::now() > deadline) fail(fmt::format("seq {} did not come", last_));
    if (shared_.deliveries.has_failed()) break;
    restart_if_due();
    back_up_if_due();
    look_at_size();
    if (look % 10 == 0) tell_progress();
    next_look_ = std::max(next_look_ + seconds(1), steady_clock::now());
    std::this_thread::sleep_until(next_look_);
  }
  proxy_->stop_faults();
  const auto all_read = [&] {
    return std::all_of(consumers_.begin(), consumers_.begin() + 4,
                       [&](const auto& one) { return one->position() == last_; });
  };
  const auto patience = deadline_from_now();
  while (!shared_.deliveries.has_failed() && !all_read()) {
    if (steady_clock::now() > patience) fail("a follower has not got the last frame");
    std::this_thread::sleep_for(milliseconds(50));
  }
  shared_.is_over = true;
}

// -- What has to hold -----------------------------------------------------------------------------

void SoakRun::judge() {
  tell_progress();
  if (shared_.deliveries.has_failed()) {
    fail(fmt::format("{}", fmt::join(shared_.deliveries.failures(), "; ")));
  }
  judge_size();
  tell("making the simulation again");
  judge_deliveries();
  judge_archive();
  judge_gaps();
  end_life(/*is_killed=*/false);
  for (const auto& consumer : consumers_) consumer->join();
  run_or_fail({"verify", "--data", (dir_ / "archive").string(), "--quiet"});
  tell(
      fmt::format("{} subscribers were overtaken by retention, {} told that they are too slow, {} "
                  "lied; upstream: {}",
                  shared_.overtaken.load(), shared_.too_slow.load(), shared_.lies.load(),
                  proxy_->counts_text()));
  judge_backup();
}

// Followers have got every frame of the simulation, and nobody has got anything else.
void SoakRun::judge_deliveries() {
  const tools::sim::Spec spec = tools::sim::parse_spec(network_text()).value();
  auto network = tools::sim::Network::create(spec.network).value();
  simulated_.assign(static_cast<std::size_t>(last_) + 1, 0);
  while (const auto frame = network->next()) {
    if (!frame->seq) continue;
    const std::int64_t seq = to_int(*frame->seq);
    const std::uint64_t hash = delivery_hash(frame->bytes);
    simulated_.at(static_cast<std::size_t>(seq)) = hash;
    const std::uint64_t delivered = shared_.deliveries.hash_of(seq);
    if (delivered == 0) fail(fmt::format("seq {} was delivered to nobody", seq));
    if (delivered != hash) fail(fmt::format("seq {} is not what was simulated", seq));
  }
  tell(fmt::format("all {} frames of the simulation were delivered as they are", last_));
}

// From the oldest to the newest the archive has every frame.
void SoakRun::judge_archive() const {
  Subscriber all = Subscriber::connect(mirror_->port(),
                                       fmt::format("{}?cursor=0&until={}", kSubscribeRepos, last_));
  std::int64_t first = 0, position = 0;
  while (position < last_) {
    const Bytes frame = all.next_frame();
    const std::optional<std::int64_t> seq = seq_of(frame);
    if (!seq) fail("the archive begins with something that has no seq");
    if (first == 0) {
      first = *seq;
    } else if (*seq != position + 1) {
      fail(fmt::format("the archive has seq {} after {}", *seq, position));
    }
    position = *seq;
    if (delivery_hash(frame) != simulated_.at(static_cast<std::size_t>(position))) {
      fail(fmt::format("seq {} of the archive is not what was simulated", position));
    }
  }
  tell(fmt::format("the archive has {} to {}, each as it was simulated", first, last_));
}

// What is not there has gone by retention, says the ledger, and nothing else has.
void SoakRun::judge_gaps() const {
  const auto gone_up_to = [&] {
    const json ledger = json::parse(http_get(mirror_->port(), "/stream/repos/gaps").body);
    std::int64_t gone = 0;
    for (const json& gap : ledger["gaps"]) {
      if (gap["reason"] != "retention" || gap["after"].get<std::int64_t>() > gone) {
        fail("a gap that is not to be: " + gap.dump());
      }
      gone = gap["before"].get<std::int64_t>() - 1;
    }
    return gone;
  };
  // Retention goes on: the two belong together where the ledger says the same before and after.
  std::int64_t gone = gone_up_to();
  for (;;) {
    Subscriber oldest =
        Subscriber::connect(mirror_->port(), fmt::format("{}?cursor=0", kSubscribeRepos));
    const std::int64_t first = seq_of(oldest.next_frame()).value_or(0);
    const std::int64_t still = gone_up_to();
    if (still == gone && gone == first - 1) return;
    if (still == gone) {
      fail(fmt::format("the ledger says that what is up to {} is gone, and {} is the oldest", gone,
                       first));
    }
    gone = still;
  }
}

// The last life has nothing but its load: its first half warms it up, then it stays as it is.
void SoakRun::judge_size() const {
  const std::size_t count = sizes_.size(), tenth = count / 10;
  if (tenth < 5) fail(fmt::format("the last life has only {} samples", count));
  const auto compare = [&](const char* what, double growth_max, const auto& of) {
    const double before = median_of(sizes_, count / 2, count / 2 + tenth, of);
    const double after = median_of(sizes_, count - tenth, count, of);
    tell(fmt::format("{}: {:.1f}, in the end {:.1f}", what, before, after));
    if (after > before * growth_max) {
      fail(fmt::format("{} grew from {:.1f} to {:.1f}", what, before, after));
    }
  };
  compare("megabytes resident", 1.15,
          [](const ProcessSize& size) { return megabytes(size.resident_bytes); });
  // Subscribers come and go: a third more of them now than then is chance.
  compare("descriptors", 1.34, [](const ProcessSize& size) {
    return static_cast<double>(size.descriptors - size.database_descriptors);
  });
}

// The newest backup, restored, is that archive at an earlier moment, and goes on from there.
void SoakRun::judge_backup() {
  if (backups_ == 0) fail("there was no backup");
  const std::string restored = (dir_ / "restored").string();
  run_or_fail({"restore", "--from", (dir_ / "backup").string(), "--data", restored, "--quiet"});
  std::filesystem::rename(dir_ / "archive", dir_ / "was");
  std::filesystem::rename(restored, dir_ / "archive");
  begin_life();
  shared_.port = 0;
  const Deadline deadline = deadline_from_now(std::chrono::minutes(5));
  while (durable() < last_) {
    if (steady_clock::now() > deadline) fail("the restored archive does not go on");
    std::this_thread::sleep_for(milliseconds(50));
  }
  judge_archive();
  judge_gaps();
  end_life(/*is_killed=*/false);
}

}  // namespace standpipe::test
