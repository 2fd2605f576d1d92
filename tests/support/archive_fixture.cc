#include "tests/support/archive_fixture.h"

#include <algorithm>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {

using storage::Archive;
using storage::ArchiveOptions;
using storage::CommitReport;
using storage::Judgement;
using storage::PartitionInfo;
using storage::PartitionState;

ArchiveOptions small_archive_options(const Clock& clock) {
  ArchiveOptions options;
  options.clock = &clock;
  options.background = false;
  options.free_bytes_min = 0;
  options.free_bytes = [] { return std::uint64_t{1} << 40; };
  options.group_frames_max = 8;
  options.partition_bytes_min = 0;
  options.write_buffer_bytes = 1 << 20;
  options.log_bytes_max = 8 << 20;
  options.run_cache_bytes = 4 << 20;
  return options;
}

ArchiveFixture::ArchiveFixture()
    : clock(kFirstFrameMs + 3'600'000),
      options(small_archive_options(clock)),
      archive_dir_(dir / "archive") {}

ArchiveFixture::~ArchiveFixture() { crash(); }

void ArchiveFixture::given_archive() { ASSERT_OK(try_open()); }

Result<void> ArchiveFixture::try_open() {
  crash();
  STANDPIPE_TRY(archive_, Archive::open(archive_dir_, options));
  storage::StreamSpec spec;
  spec.name = "repos";
  std::optional<storage::StreamInfo> found = archive_->find_stream(spec.name);
  if (!found && options.access == storage::Access::write) {
    STANDPIPE_TRY(found, archive_->ensure_stream(spec));
  }
  if (!found) return Error{Errc::not_found, "the archive has no stream `repos`"};
  stream_ = found->id;
  epoch_ = found->epochs.back().number;
  return {};
}

void ArchiveFixture::append(std::int64_t seq) { append(FrameSpec{.seq = seq}); }

void ArchiveFixture::append(const FrameSpec& spec) {
  const Bytes frame = make_frame(spec);
  const Result<Judgement> judgement = offer(frame);
  ASSERT_OK(judgement);
  ASSERT_EQ(to_string(*judgement), to_string(Judgement::accepted)) << "seq " << spec.seq;
  pending_[spec.seq] = std::string(as_text(frame));
}

void ArchiveFixture::append_range(std::int64_t first, std::int64_t last) {
  for (std::int64_t seq = first; seq <= last; ++seq) append(seq);
}

Result<Judgement> ArchiveFixture::offer(ByteView frame) {
  return appender().offer(frame, clock.now_ms());
}

CommitReport ArchiveFixture::commit() {
  Result<CommitReport> report = appender().commit();
  EXPECT_OK(report);
  if (!report) return {};
  model.merge(pending_);
  pending_.clear();
  return std::move(report).value();
}

void ArchiveFixture::renew_appender() {
  appender_.reset();
  pending_.clear();
}

void ArchiveFixture::given_frames(std::int64_t first, std::int64_t last,
                                  std::int64_t frames_per_commit) {
  for (std::int64_t from = first; from <= last; from += frames_per_commit) {
    append_range(from, std::min(last, from + frames_per_commit - 1));
    commit();
  }
}

void ArchiveFixture::drop_oldest() {
  for (const PartitionInfo& partition : archive().partitions()) {
    if (partition.state != PartitionState::sealed) continue;
    ASSERT_OK(archive().drop_partition(partition.id));
    model.erase(model.lower_bound(to_int(partition.first)),
                model.upper_bound(to_int(partition.last)));
    return;
  }
  FAIL() << "no sealed partition to drop";
}

void ArchiveFixture::close() {
  renew_appender();
  ASSERT_OK(archive().close());
  archive_.reset();
}

void ArchiveFixture::crash() {
  renew_appender();
  archive_.reset();
}

void ArchiveFixture::reopen() { given_archive(); }

FrameMap ArchiveFixture::read_all(Seq after) {
  Result<FrameMap> frames = test::read_all(archive(), stream_, epoch_, after);
  EXPECT_OK(frames);
  return frames ? std::move(frames).value() : FrameMap{};
}

void ArchiveFixture::expect_model() { EXPECT_EQ(differences(model, read_all()), ""); }

Archive& ArchiveFixture::archive() {
  STANDPIPE_ASSERT(archive_ != nullptr, "call given_archive first");
  return *archive_;
}

storage::Appender& ArchiveFixture::appender() {
  if (!appender_) {
    Result<storage::Appender> made = archive().appender(stream_);
    STANDPIPE_ASSERT(made.has_value(), made.error().detail);
    appender_.emplace(std::move(made).value());
  }
  return *appender_;
}

}  // namespace standpipe::test
