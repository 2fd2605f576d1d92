// What is exposed, and that the page of documentation, the dashboard and the alerts speak of the
// same.
#include "tools/metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace standpipe::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

storage::StreamInfo given_stream(std::string name, storage::StreamKind kind) {
  storage::StreamInfo stream;
  stream.id = storage::StreamId{kind == storage::StreamKind::repos ? 1U : 2U};
  stream.spec.name = std::move(name);
  stream.spec.kind = kind;
  stream.epochs.resize(2);
  stream.epochs[0].number = storage::EpochNumber{1};
  stream.epochs[0].frames = 10;
  stream.epochs[0].raw_bytes = 1'000;
  stream.epochs[0].gaps.of(storage::GapReason::outage) = {1, 50};
  stream.epochs[1].number = storage::EpochNumber{2};
  stream.epochs[1].newest = Seq{9'007'199'254'740'991};
  stream.epochs[1].clock_ms = 1'783'175'887'250;
  stream.epochs[1].frames = 5;
  stream.epochs[1].raw_bytes = 500;
  stream.epochs[1].gaps.of(storage::GapReason::outage) = {2, 7};
  stream.epochs[1].gaps.of(storage::GapReason::lost) = {1, 1};
  return stream;
}

storage::PartitionInfo given_partition(std::uint32_t epoch, storage::PartitionState state,
                                       std::int64_t first, std::int64_t clock_ms) {
  storage::PartitionInfo partition;
  partition.stream = storage::StreamId{1};
  partition.epoch = storage::EpochNumber{epoch};
  partition.state = state;
  partition.first = Seq{first};
  partition.clock_first_ms = clock_ms;
  return partition;
}

archiver::StreamStatus given_status() {
  archiver::StreamStatus status;
  status.name = "repos";
  status.state = archiver::StreamState::down;
  status.url = "wss://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa.example";
  status.last_error = "198.51.100.7 refused did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
  status.connections = 3;
  status.dials_failed = 4;
  status.frames = 100;
  status.accepted = 80;
  status.duplicates = 8;
  status.kept_aside = {{Unarchivable::too_large, 6}};
  status.queue_bytes = 12;
  status.queue_bytes_max = 13;
  status.commit_times.add(0.002);
  status.check.verify = archiver::VerifyIngest::full;
  status.check.frames = 90;
  status.check.by_finding = {{"rev_not_rising", 2}};
  return status;
}

// Of a process that does all that one can do.
MetricsSample given_sample() {
  using storage::PartitionState;
  MetricsSample sample;
  sample.verb = "mirror";
  sample.version = "1.2.3";
  sample.format_version = 7;
  sample.mirror.streams = {given_status()};
  sample.mirror.server.emplace();
  sample.mirror.server->subscribers = 9;
  sample.mirror.server->live = 4;
  sample.mirror.server->backfill = 2;
  sample.mirror.server->waiting = 1;
  sample.mirror.server->ended[static_cast<std::size_t>(replay::EndReason::too_slow)] = 2;
  sample.mirror.archive.health = storage::Health::disk_full;
  sample.mirror.archive.health_detail = "198.51.100.7";
  sample.health.archive = storage::Health::disk_full;
  sample.health.streams.resize(2);
  sample.health.streams[0].name = "repos";
  sample.health.streams[0].received_age_s = 1.5;
  sample.health.streams[1].name = "mod";
  sample.streams = {given_stream("repos", storage::StreamKind::repos),
                    given_stream("mod", storage::StreamKind::labels)};
  sample.partitions = {given_partition(1, PartitionState::sealed, 1, 1'000),
                       given_partition(2, PartitionState::dropping, 2, 2'000),
                       given_partition(2, PartitionState::open, 40, 4'000),
                       given_partition(2, PartitionState::sealed, 30, 3'500)};
  sample.live_bytes = {{"repos", 77}};
  sample.serving.emplace();
  return sample;
}

// The families, with their types.
std::map<std::string, std::string> families_of(const std::string& text) {
  std::map<std::string, std::string> families;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, what, name, type;
    words >> hash >> what >> name >> type;
    if (hash != "#" || what != "TYPE") continue;
    EXPECT_TRUE(families.emplace(name, type).second) << name << " comes twice";
  }
  return families;
}

std::string text_of(const std::string& path) {
  std::ifstream file(std::string(STANDPIPE_SOURCE_DIR) + "/" + path);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Metrics, SayWhatTheSampleHolds) {
  const std::string text = metrics_text(given_sample());
  for (const char* line : {
           "standpipe_build_info{version=\"1.2.3\",verb=\"mirror\",format=\"7\"} 1",
           "standpipe_health{status=\"disk_full\"} 1",
           "standpipe_health{status=\"ok\"} 0",
           "standpipe_health{status=\"corruption\"} 0",
           "standpipe_archive_health{state=\"disk_full\"} 1",
           "standpipe_archive_health{state=\"closed\"} 0",
           "standpipe_stream_info{stream=\"mod\",kind=\"labels\",density=\"auto\"} 1",
           "standpipe_stream_epoch{stream=\"repos\"} 2",
           "standpipe_stream_newest_seq{stream=\"repos\"} 9007199254740991",
           "standpipe_stream_oldest_seq{stream=\"repos\"} 30",
           "standpipe_stream_oldest_timestamp_seconds{stream=\"repos\"} 3.5",
           "standpipe_stream_newest_timestamp_seconds{stream=\"repos\"} 1783175887.25",
           "standpipe_stream_frames{stream=\"repos\"} 15",
           "standpipe_stream_raw_bytes{stream=\"repos\"} 1500",
           "standpipe_stream_received_age_seconds{stream=\"repos\"} 1.5",
           "standpipe_gaps{stream=\"repos\",reason=\"outage\"} 3",
           "standpipe_gap_seqs{stream=\"repos\",reason=\"outage\"} 57",
           "standpipe_gap_seqs{stream=\"repos\",reason=\"lost\"} 1",
           "standpipe_gap_seqs{stream=\"repos\",reason=\"erased\"} 0",
           "standpipe_upstream_state{stream=\"repos\",state=\"down\"} 1",
           "standpipe_upstream_state{stream=\"repos\",state=\"live\"} 0",
           "standpipe_upstream_connections_total{stream=\"repos\"} 3",
           "standpipe_frames_total{stream=\"repos\",outcome=\"accepted\"} 80",
           "standpipe_frames_total{stream=\"repos\",outcome=\"duplicate\"} 8",
           "standpipe_kept_aside_total{stream=\"repos\",reason=\"too_large\"} 6",
           "standpipe_kept_aside_total{stream=\"repos\",reason=\"text_message\"} 0",
           "standpipe_queue_bytes{stream=\"repos\"} 12",
           "standpipe_queue_limit_bytes{stream=\"repos\"} 13",
           "standpipe_commit_seconds_bucket{stream=\"repos\",le=\"0.0025\"} 1",
           "standpipe_verify_findings_total{stream=\"repos\",finding=\"rev_not_rising\"} 2",
           "standpipe_archive_partitions{state=\"sealed\"} 2",
           "standpipe_subscribers{state=\"live\"} 4",
           "standpipe_subscribers{state=\"other\"} 2",
           "standpipe_subscribers_ended_total{reason=\"too_slow\"} 2",
           "standpipe_subscribers_ended_total{reason=\"shutdown\"} 0",
           "standpipe_connections_limit 10000",
           "standpipe_live_log_bytes{stream=\"repos\"} 77",
           "standpipe_timeout_seconds{name=\"stall\"} 60",
           "standpipe_timeout_seconds{name=\"commit_interval\"} 0.005",
       }) {
    EXPECT_THAT(text, HasSubstr("\n" + std::string(line) + "\n"));
  }
  // What is not known is absent, not zero.
  EXPECT_THAT(text, Not(HasSubstr("standpipe_stream_received_age_seconds{stream=\"mod\"}")));
  EXPECT_THAT(text, Not(HasSubstr("standpipe_stream_event_age_seconds{")));
  EXPECT_THAT(text, Not(HasSubstr("standpipe_stream_oldest_seq{stream=\"mod\"}")));
}

TEST(Metrics, NameNoDidAndNoAddress) {
  const std::string text = metrics_text(given_sample());
  EXPECT_THAT(text, Not(HasSubstr("did:")));
  EXPECT_THAT(text, Not(HasSubstr("198.51.100.7")));
}

TEST(Metrics, TheFamiliesAreTheSameWhateverRuns) {
  MetricsSample idle;
  EXPECT_EQ(families_of(metrics_text(idle)), families_of(metrics_text(given_sample())));
  EXPECT_THAT(metrics_text(idle), Not(HasSubstr("\nstandpipe_subscribers{")));
}

// The rows of the tables in docs/metrics.md: | `name` | type | labels | meaning |
TEST(Metrics, ThePageListsEveryFamilyAndNoOther) {
  std::map<std::string, std::string> listed;
  std::istringstream lines(text_of("docs/metrics.md"));
  const std::regex row(R"(^\| `([a-z_]+)` \| (\w+) \|.*)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) continue;
    EXPECT_TRUE(listed.emplace(match[1], match[2]).second) << match[1] << " is listed twice";
  }
  EXPECT_EQ(listed, families_of(metrics_text(given_sample())));
}

// The labels that the samples have are those of the page.
TEST(Metrics, ThePageListsTheLabelsOfEveryFamily) {
  std::map<std::string, std::string> listed;
  std::istringstream page(text_of("docs/metrics.md"));
  const std::regex row(R"(^\| `([a-z_]+)` \| \w+ \| ([^|]*) \|.*)");
  for (std::string line; std::getline(page, line);) {
    std::smatch match;
    if (std::regex_match(line, match, row)) listed[match[1]] = match[2];
  }
  std::istringstream lines(metrics_text(given_sample()));
  const std::regex sample(R"(^([a-z_]+?)(_bucket|_sum|_count)?\{(.*)\} .*)");
  const std::regex label(R"re(([a-z_]+)="[^"]*")re");
  std::size_t samples = 0;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, sample)) continue;
    ++samples;
    std::string labels;
    const std::string inside = match[3];
    for (std::sregex_iterator at(inside.begin(), inside.end(), label), end; at != end; ++at) {
      if ((*at)[1] == "le") continue;
      labels += (labels.empty() ? "`" : ", `") + (*at)[1].str() + "`";
    }
    EXPECT_EQ(listed[match[1]], labels) << line;
  }
  EXPECT_GT(samples, 100U);
}

// What an expression asks for that is not exposed.
std::set<std::string> unknown_in(const std::string& expression) {
  const auto families = families_of(metrics_text(given_sample()));
  std::set<std::string> unknown;
  const std::regex name(R"(\b(?:standpipe|process)_[a-z_]+\b)");
  for (std::sregex_iterator at(expression.begin(), expression.end(), name), end; at != end; ++at) {
    const std::string metric = at->str();
    const auto family = families.find(metric);
    const bool is_part = std::any_of(
        families.begin(), families.end(), [&](const std::pair<std::string, std::string>& one) {
          return one.second == "histogram" &&
                 (metric == one.first + "_bucket" || metric == one.first + "_sum" ||
                  metric == one.first + "_count");
        });
    const bool is_whole = family != families.end() && family->second != "histogram";
    if (!is_part && !is_whole) unknown.insert(metric);
  }
  return unknown;
}

TEST(Metrics, TheDashboardAsksForWhatIsExposed) {
  EXPECT_EQ(unknown_in("rate(standpipe_nothing_total[5m]) + standpipe_commit_seconds"),
            (std::set<std::string>{"standpipe_nothing_total", "standpipe_commit_seconds"}));
  const json board = json::parse(text_of("tools/ops/dashboard.json"));
  std::size_t expressions = 0;
  for (const json& panel : board["panels"]) {
    for (const json& target : panel.value("targets", json::array())) {
      ++expressions;
      EXPECT_THAT(unknown_in(target["expr"]), IsEmpty()) << target["expr"];
    }
  }
  for (const json& variable : board["templating"]["list"]) {
    EXPECT_THAT(unknown_in(variable["query"]), IsEmpty());
  }
  EXPECT_GT(expressions, 40U);
}

TEST(Metrics, TheAlertsAskForWhatIsExposedAndSayWhatToDo) {
  const std::string rules = text_of("tools/ops/alerts.yml");
  EXPECT_THAT(unknown_in(rules), IsEmpty());
  const auto occurrences = [&rules](const std::string& text) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = rules.find(text, at)) != std::string::npos; ++at) ++count;
    return count;
  };
  EXPECT_GE(occurrences("- alert: "), 15U);
  EXPECT_EQ(occurrences("          action: "), occurrences("- alert: "));
  EXPECT_EQ(occurrences("          severity: "), occurrences("- alert: "));
}

TEST(ProcessUsage, CountsADescriptorMore) {
  const ProcessUsage before = process_usage();
  const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const ProcessUsage now = process_usage();
  ::close(descriptor);
  EXPECT_EQ(now.descriptors, before.descriptors + 1);
  EXPECT_GE(now.descriptors_max, now.descriptors);
  EXPECT_GT(now.resident_bytes, 1U << 20);
  EXPECT_GE(now.virtual_bytes, now.resident_bytes);
  EXPECT_GE(now.threads, 1U);
  EXPECT_GE(now.cpu_seconds, before.cpu_seconds);
  EXPECT_GT(now.started_at_seconds, 1'600'000'000);
}

}  // namespace
}  // namespace standpipe::tools
