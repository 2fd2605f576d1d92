// For tests of ingest: how a frame was judged, what the ledger says, in words.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/archive_fixture.h"

namespace standpipe::test {

// A gap as "after..before reason".
inline std::string to_text(const storage::Gap& gap) {
  return std::to_string(to_int(gap.after)) + ".." + std::to_string(to_int(gap.before)) + " " +
         std::string(to_string(gap.reason));
}

class AppenderFixture : public ArchiveFixture {
 protected:
  std::vector<std::string> gaps_of(storage::StreamId of) {
    const auto gaps = archive().gaps(of, epoch(), kSeqNone, kSeqMax, 1000);
    EXPECT_OK(gaps);
    std::vector<std::string> out;
    if (gaps) {
      for (const storage::Gap& gap : *gaps) out.push_back(to_text(gap));
    }
    return out;
  }
  std::vector<std::string> gaps() { return gaps_of(stream()); }

  storage::EpochInfo epoch_info() { return archive().streams().front().epochs.back(); }

  // How `frame` was judged.
  std::string judged(ByteView frame) {
    const Result<storage::Judgement> judgement = offer(frame);
    EXPECT_OK(judgement);
    return judgement ? std::string(to_string(*judgement)) : std::string();
  }
  std::string judged(const FrameSpec& spec) { return judged(make_frame(spec)); }
  std::string judged(std::int64_t seq) { return judged(make_frame(seq)); }

  // The seqs of each run of a commit.
  static std::vector<std::vector<std::int64_t>> seqs_of(const storage::CommitReport& report) {
    std::vector<std::vector<std::int64_t>> out;
    for (const storage::WireRunPtr& run : report.runs) {
      std::vector<std::int64_t> seqs;
      for (const storage::RunFrame& frame : run->frames) seqs.push_back(to_int(frame.seq));
      out.push_back(std::move(seqs));
    }
    return out;
  }

  storage::Appender given_stream(const std::string& name, storage::StreamKind kind,
                                 storage::Density density) {
    auto made =
        archive().ensure_stream({.name = name, .kind = kind, .url = "", .density = density});
    EXPECT_OK(made);
    other_ = made->id;
    auto appender = archive().appender(other_);
    EXPECT_OK(appender);
    return std::move(appender).value();
  }
  storage::StreamId other() const { return other_; }

 private:
  storage::StreamId other_{};
};

}  // namespace standpipe::test
