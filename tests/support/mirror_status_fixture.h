// A mirror that says what it counts: what an upstream sent can be told from the program's own
// words.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/mirror_fixture.h"

namespace standpipe::test {

class MirrorStatusFixture : public MirrorFixture {
 protected:
  // given_mirror(), with a line of status every 20 ms.
  void given_watched_mirror(std::vector<std::string> arguments = {});

  // The stream as the newest line of status has it. `what` completes "waited in vain for ...".
  nlohmann::json wait_for_status(const std::string& what,
                                 const std::function<bool(const nlohmann::json&)>& holds,
                                 const std::string& stream = "repos") const;
  // Until this seq is the newest. All that came before its frame is in the counts; a seq that has
  // been reached is not waited for, so what comes behind it may not be.
  nlohmann::json wait_for_newest(std::int64_t seq) const;
  nlohmann::json wait_for_state(const std::string& state) const;
  nlohmann::json wait_for_count(const std::string& name, std::uint64_t least) const;
  // Until its log, on standard error, holds this.
  void wait_for_log(const std::string& text) const;

  // GET /stream/repos/gaps: "4..6 quarantined".
  std::vector<std::string> gaps() const;
  nlohmann::json inspected() const;           // by the program, through the holder if there is one
  std::vector<std::int64_t> cursors() const;  // of each connection; -1: none

  // That cursor 0 gives exactly these frames, once and in order, and then nothing.
  void expect_served(const std::vector<Bytes>& frames) const;
};

std::vector<Bytes> frames_between(std::int64_t first, std::int64_t last);  // inclusive
std::vector<Bytes> frames_of(std::initializer_list<std::int64_t> seqs);
// Another frame of the same seq.
Bytes other_frame(std::int64_t seq, std::uint64_t variant = 1);

}  // namespace standpipe::test
