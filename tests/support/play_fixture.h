// `standpipe play` as it is used: a frame file, a scenario, consumers, and the report of what
// happened.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/frame_file.h"
#include "tests/support/mirror_status_fixture.h"
#include "tests/support/network_process.h"

namespace standpipe::test {

class PlayFixture : public MirrorStatusFixture {
 protected:
  // Starts it on these frames, with these faults (TOML; none: no scenario) and options.
  void given_play(const std::vector<Bytes>& frames, std::string_view faults = "",
                  std::vector<std::string> arguments = {});
  // The same, of whatever source the arguments name.
  void given_play_of(std::vector<std::string> arguments);
  std::string given_frames(const std::vector<Bytes>& frames);  // the name of a frame file
  std::string given_scenario(std::string_view faults, const std::string& name = "faults.toml");

  std::string new_file() { return given_frames(frames_between(1, 5)); }

  // A mirror, with quick redials, of what is played.
  void given_consumer(std::vector<std::string> arguments = {});
  Subscriber subscribe_to_play(std::string_view query, SubscriberOptions options = {}) const;
  // `standpipe tail URL --raw` with these; runs to its end.
  Outcome tail(const std::vector<std::string>& arguments) const;

  // What it prints once it is ready, a moment after the ready file is there.
  nlohmann::json printed() const;
  std::uint16_t play_port() const { return play().port(); }
  std::string play_url() const { return "ws://127.0.0.1:" + std::to_string(play_port()); }
  NetworkProcess& play() const { return *play_; }
  HttpReply post(std::string_view target) const;

  nlohmann::json report() const;  // as it is now
  // Until fault `number`, from 1, has happened so often; returns its part of the report.
  nlohmann::json wait_for_fault(std::size_t number, std::uint64_t times = 1) const;
  // Until a connection, from 1, has been sent everything, or it has ended.
  void wait_until_caught_up(std::size_t connection) const;
  // Until a connection, from 1, is there and has ended.
  nlohmann::json wait_for_end(std::size_t connection) const;
  // The frames 1 to 20, with these faults, and a mirror of them that has the last one.
  nlohmann::json given_met(std::string_view faults, const std::vector<std::string>& arguments = {});
  // That it ends well, its first fault having happened once, there.
  void expect_happened(std::uint64_t connection, std::uint64_t frame, const nlohmann::json& seq);
  // That it does not begin, and says why in one line.
  static void expect_refusal(const std::vector<std::string>& arguments, int status,
                             const std::string& text);
  // Asks it to stop, expects that exit status, and returns the report that it has printed.
  nlohmann::json end_play(int status = 0);
  // Waits until it has ended by itself.
  nlohmann::json ended_play(int status = 0);
  // What went to standard error of the one that has ended.
  const std::string& play_errors() const { return errors_; }
  std::vector<std::int64_t> cursors_asked() const;  // of each connection; -1: none

 private:
  nlohmann::json take_report(const Outcome& outcome, int status);
  nlohmann::json poll(std::string_view what,
                      const std::function<nlohmann::json(const nlohmann::json&)>& find) const;

  std::unique_ptr<NetworkProcess> play_;
  std::string errors_;
  int files_ = 0;
};

std::vector<Bytes> frames_without(std::int64_t seq);  // 1 to 20, but this one
// That these come next, and then nothing.
void expect_sent(Subscriber& subscriber, const std::vector<Bytes>& frames);
void expect_sent(Subscriber&& subscriber, const std::vector<Bytes>& frames);

}  // namespace standpipe::test
