#include "tests/support/archive_text.h"

#include <algorithm>

#include "schema/base/bytes.h"
#include "storage/group.h"
#include "tests/support/frames.h"

namespace standpipe::test {
namespace {

using storage::Gap;
using storage::PartitionInfo;

std::string text(std::int64_t value) { return std::to_string(value); }
std::string text(std::uint64_t value) { return std::to_string(value); }
std::string text(Seq seq) { return std::to_string(to_int(seq)); }

Result<void> describe_epoch(const storage::Archive& archive, const storage::StreamInfo& stream,
                            const storage::EpochInfo& epoch, std::vector<std::string>& out) {
  out.push_back(stream.spec.name + " epoch " + text(std::uint64_t{to_int(epoch.number)}) +
                " origin " + (epoch.origin ? text(*epoch.origin) : "none") + " floor " +
                text(epoch.floor) + " newest " + text(epoch.newest) + " window_floor " +
                text(epoch.window_floor) + " clock " + text(epoch.clock_ms) + " frames " +
                text(epoch.frames) + " bytes " + text(epoch.raw_bytes));
  STANDPIPE_TRY(const std::vector<Gap> gaps,
                archive.gaps(stream.id, epoch.number, kSeqNone, kSeqMax, 100'000));
  for (const Gap& gap : gaps) {
    out.push_back("gap " + text(gap.after) + " to " + text(gap.before) + " " +
                  std::string(to_string(gap.reason)) + " at " + text(gap.recorded_ms));
  }
  STANDPIPE_TRY(const FrameMap frames, read_all(archive, stream.id, epoch.number));
  for (const auto& [seq, bytes] : frames) {
    out.push_back("frame " + text(seq) + " " + text(std::uint64_t{bytes.size()}) + " " +
                  text(storage::wire_hash(bytes)));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> describe_archive(const storage::Archive& archive) {
  std::vector<std::string> out;
  for (const storage::StreamInfo& stream : archive.streams()) {
    for (const storage::EpochInfo& epoch : stream.epochs) {
      STANDPIPE_CHECK(describe_epoch(archive, stream, epoch, out));
    }
  }
  for (const PartitionInfo& partition : archive.partitions()) {
    if (partition.first == kSeqNone) continue;  // created ahead of need
    out.push_back(std::string(to_string(partition.state)) + " " + text(partition.first) + " to " +
                  text(partition.last) + " clock " + text(partition.clock_first_ms) + " to " +
                  text(partition.clock_last_ms) + " frames " + text(partition.frames) + " bytes " +
                  text(partition.raw_bytes) + " digest " + to_hex(partition.digest));
  }
  STANDPIPE_TRY(const std::vector<storage::QuarantineEntry> kept, archive.quarantine(10'000));
  for (const storage::QuarantineEntry& entry : kept) {
    out.push_back("quarantine " + std::string(to_string(entry.reason)) + " " + entry.bytes);
  }
  STANDPIPE_TRY(const std::vector<storage::Note> notes, archive.notes(10'000));
  for (const storage::Note& note : notes) out.push_back("note " + note.kind + " " + note.text);
  return out;
}

std::string difference(const std::vector<std::string>& expected,
                       const std::vector<std::string>& actual) {
  for (std::size_t i = 0; i < std::max(expected.size(), actual.size()); ++i) {
    const std::string should = i < expected.size() ? expected[i] : "(nothing)";
    const std::string is = i < actual.size() ? actual[i] : "(nothing)";
    if (is != should) return "`" + is + "` instead of `" + should + "`";
  }
  return {};
}

}  // namespace standpipe::test
