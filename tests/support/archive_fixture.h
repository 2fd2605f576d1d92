// Verbs for tests of the archive: given_archive, append, commit, crash, reopen, and the model that
// says what must be there.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "schema/base/clock.h"
#include "storage/archive.h"
#include "tests/support/frames.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

// Options for small archives: nothing on threads of its own, plenty of room, groups of at most 8
// frames, partitions that end by bytes only.
storage::ArchiveOptions small_archive_options(const Clock& clock);

// One archive with one stream ("repos", relay-like) in a directory of its own.
class ArchiveFixture : public ::testing::Test {
 protected:
  ArchiveFixture();
  ~ArchiveFixture() override;

  // -- Setting up -------------------------------------------------------------------------------
  // Opens the archive, creating it if needed, with `options` as they are now.
  void given_archive();
  // The same without expecting success, and without touching the model.
  Result<void> try_open();

  // -- What happens to it -----------------------------------------------------------------------
  // Offers make_frame(seq) and expects it to be accepted. Begins an appender where there is none.
  void append(std::int64_t seq);
  void append(const FrameSpec& spec);
  void append_range(std::int64_t first, std::int64_t last);  // inclusive
  // Offers without expecting anything. Does not touch the model.
  Result<storage::Judgement> offer(ByteView frame);
  // Expects success; what was pending is then in `model`.
  storage::CommitReport commit();
  // Lets the appender go, and what it had pending: after try_resume() another one is wanted.
  void renew_appender();
  // Appends and commits [first, last] in commits of `frames_per_commit`.
  void given_frames(std::int64_t first, std::int64_t last, std::int64_t frames_per_commit = 8);
  // Drops the oldest sealed partition, and what was in it from the model.
  void drop_oldest();

  void close();   // a clean stop
  void crash();   // without flushing; what was pending is forgotten
  void reopen();  // crash() if still open, then given_archive()

  // -- What must be so --------------------------------------------------------------------------
  FrameMap read_all(Seq after = kSeqNone);  // the newest epoch; expects no error
  // The archive holds what the model says, no more and no less, byte for byte.
  void expect_model();

  storage::Archive& archive();
  storage::Appender& appender();
  storage::StreamId stream() const { return stream_; }
  storage::EpochNumber epoch() const { return epoch_; }
  const std::filesystem::path& archive_dir() const { return archive_dir_; }

  TempDir dir;
  ManualClock clock;
  storage::ArchiveOptions options;
  FrameMap model;  // durable frames of the newest epoch

 private:
  std::filesystem::path archive_dir_;
  std::unique_ptr<storage::Archive> archive_;
  std::optional<storage::Appender> appender_;  // must go before archive_
  FrameMap pending_;
  storage::StreamId stream_{};
  storage::EpochNumber epoch_{};
};

// EXPECT_OK(result), ASSERT_OK(result): with the error's words where it is one.
#define EXPECT_OK(expression) EXPECT_EQ(::standpipe::test::error_text((expression)), "")
#define ASSERT_OK(expression) ASSERT_EQ(::standpipe::test::error_text((expression)), "")
template <typename T>
std::string error_text(const Result<T>& result) {
  return result.has_value() ? std::string() : to_string(result.error());
}

}  // namespace standpipe::test
