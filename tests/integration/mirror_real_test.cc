// Real frames through a mirror: what upstream sent is what everybody gets, byte for byte.
//
// Three corpora of captured frames, each with seqs of its own, come from three upstreams.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {
namespace {

// One corpus, and whoever sends it.
struct Source {
  std::string name;
  std::vector<UpstreamFrame> frames;
  std::unique_ptr<ScriptedUpstream> upstream;

  std::int64_t last() const { return frames.back().seq; }
  std::vector<Bytes> bytes() const {
    std::vector<Bytes> out;
    for (const UpstreamFrame& frame : frames) out.push_back(frame.bytes);
    return out;
  }
};

std::string path_of(const Source& source) {
  return "/stream/" + source.name + std::string(kSubscribeRepos);
}

class MirrorReal : public ::testing::Test {
 protected:
  static std::vector<Source> read_sources() {
    std::vector<Source> sources;
    for (const char* name : {"horizon-firehose", "jetstream-corpus", "proto-rune"}) {
      Source source;
      source.name = name;
      for (Bytes& frame : read_frame_corpus(shared_dir() / "data" / name / "frames.bin.zst")) {
        const std::int64_t seq = seq_of(frame).value_or(0);
        source.frames.push_back({seq, std::move(frame)});
      }
      sources.push_back(std::move(source));
    }
    return sources;
  }

  // The upstreams hold the first half of each corpus, or all of it.
  void given_sources(bool is_half, std::optional<TlsIdentity> tls = {}) {
    sources = read_sources();
    std::size_t frames = 0;
    for (Source& source : sources) {
      frames += source.frames.size();
      UpstreamOptions options;
      options.tls = tls;
      options.frames = source.frames;
      if (is_half) options.frames.resize(source.frames.size() / 2);
      source.upstream = std::make_unique<ScriptedUpstream>(std::move(options));
    }
    ASSERT_EQ(frames, 183U);
  }
  void send_the_rest() {
    for (Source& source : sources) {
      source.upstream->append(
          {source.frames.begin() + static_cast<std::ptrdiff_t>(source.frames.size() / 2),
           source.frames.end()});
    }
  }

  // `standpipe mirror` on an archive of that name, following one URL for each source.
  template <typename UrlOf>
  std::unique_ptr<NetworkProcess> start_mirror(const std::string& archive, UrlOf&& url_of,
                                               std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"mirror",          "--data", data_of(archive),  "--quiet",
                                       "--min-free",      "0",      "--reconnect-min", "20ms",
                                       "--reconnect-max", "100ms"};
    for (const Source& source : sources) {
      arguments.insert(arguments.end(), {"--upstream", source.name + "=" + url_of(source)});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<NetworkProcess>(arguments);
  }
  std::unique_ptr<NetworkProcess> start_mirror() const {
    return start_mirror("archive", [](const Source& source) { return source.upstream->url(); });
  }
  std::string data_of(const std::string& archive) const { return (dir / archive).string(); }

  // Every stream from cursor 0, over a socket.
  void expect_replay(const NetworkProcess& mirror) const {
    for (const Source& source : sources) {
      SCOPED_TRACE(source.name);
      Subscriber subscriber = Subscriber::connect(mirror.port(), path_of(source) + "?cursor=0");
      ASSERT_TRUE(subscriber.is_upgraded()) << subscriber.handshake().body;
      EXPECT_TRUE(subscriber.read_until_seq(source.last()) == source.bytes());
      EXPECT_TRUE(subscriber.read_until_pong().empty());
    }
  }
  void expect_export(const std::string& archive) const {
    for (const Source& source : sources) {
      SCOPED_TRACE(source.name);
      const std::string file = dir / (archive + "." + source.name + ".zst");
      const Outcome outcome =
          run_standpipe({"export", "--data", data_of(archive), "--stream", source.name, "--output",
                         file, "--overwrite", "--quiet"});
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      EXPECT_TRUE(read_frame_corpus(file) == source.bytes());
    }
  }
  static void stop(std::unique_ptr<NetworkProcess>& mirror) {
    const Outcome outcome = mirror->stop();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    mirror.reset();
  }

  TempDir dir{TempDir::Where::memory};
  std::vector<Source> sources;
};

TEST_F(MirrorReal, FramesComeOutAsTheyCameInAcrossARestart) {
  STANDPIPE_REQUIRE_SHARED();
  ASSERT_NO_FATAL_FAILURE(given_sources(/*is_half=*/true));
  auto mirror = start_mirror();
  for (const Source& source : sources) {
    SCOPED_TRACE(source.name);
    const std::size_t half = source.frames.size() / 2;
    Subscriber subscriber = Subscriber::connect(mirror->port(), path_of(source) + "?cursor=0");
    EXPECT_EQ(subscriber.read_frames(half).back(), source.frames[half - 1].bytes);
  }
  stop(mirror);
  send_the_rest();
  mirror = start_mirror();
  expect_replay(*mirror);
  expect_export("archive");  // while it is being served
  stop(mirror);
  mirror = start_mirror();
  expect_replay(*mirror);
  stop(mirror);
  expect_export("archive");
  // Each restart asked for what follows the last frame that is stored.
  for (const Source& source : sources) {
    SCOPED_TRACE(source.name);
    const std::vector<ConnectionRecord> seen = source.upstream->connections();
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[0].cursor, 0);
    EXPECT_EQ(seen[1].cursor, source.frames[source.frames.size() / 2 - 1].seq);
    EXPECT_EQ(seen[2].cursor, source.last());
  }
}

TEST_F(MirrorReal, OverTlsTheyAreTheSame) {
  STANDPIPE_REQUIRE_SHARED();
  const CertificateAuthority authority;
  authority.write_certificate(dir / "ca.pem");
  ASSERT_NO_FATAL_FAILURE(given_sources(/*is_half=*/false, authority.for_loopback()));
  const auto url_of = [](const Source& source) { return source.upstream->url(); };
  ASSERT_THAT(url_of(sources[0]), ::testing::StartsWith("wss://"));
  auto mirror = start_mirror("archive", url_of, {"--tls-ca", (dir / "ca.pem").string()});
  expect_replay(*mirror);
  stop(mirror);
  mirror = start_mirror("archive", url_of, {"--tls-ca", (dir / "ca.pem").string()});
  expect_replay(*mirror);
  stop(mirror);
  expect_export("archive");
}

TEST_F(MirrorReal, AMirrorOfAMirrorHoldsAndServesTheSame) {
  STANDPIPE_REQUIRE_SHARED();
  ASSERT_NO_FATAL_FAILURE(given_sources(/*is_half=*/true));
  auto first = start_mirror();
  const auto url_of = [&first](const Source& source) {
    return "ws://127.0.0.1:" + std::to_string(first->port()) + path_of(source);
  };
  auto second = start_mirror("second", url_of);
  send_the_rest();
  expect_replay(*second);
  stop(second);
  expect_export("second");
  // The first one is now elsewhere, which the second has to be told.
  stop(first);
  first = start_mirror();
  second = start_mirror("second", url_of, {"--change-upstream"});
  expect_replay(*second);
  stop(second);
  stop(first);
  expect_export("archive");
  expect_export("second");
}

TEST_F(MirrorReal, TailOfItsUrlWritesTheSameFrames) {
  STANDPIPE_REQUIRE_SHARED();
  ASSERT_NO_FATAL_FAILURE(given_sources(/*is_half=*/false));
  auto mirror = start_mirror();
  const std::string base = "ws://127.0.0.1:" + std::to_string(mirror->port());
  for (const Source& source : sources) {
    SCOPED_TRACE(source.name);
    const std::string out = dir / (source.name + ".raw");
    std::ofstream(out).flush();
    ProcessOptions options;
    options.output_path = out;
    const Outcome outcome =
        run_standpipe({"tail", base + "/stream/" + source.name, "--raw", "--cursor", "0", "--until",
                       std::to_string(source.last())},
                      options);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::string expected;
    for (const UpstreamFrame& frame : source.frames) {
      std::array<std::byte, 4> length{};
      store_le(length.data(), static_cast<std::uint32_t>(frame.bytes.size()));
      expected.append(as_text(length));
      expected.append(as_text(frame.bytes));
    }
    EXPECT_TRUE(as_text(read_file(out)) == expected);
  }
  stop(mirror);
}

}  // namespace
}  // namespace standpipe::test
