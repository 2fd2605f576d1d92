#include "tools/local_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "tools/describe.h"

namespace standpipe::tools {
namespace {

using storage::EpochInfo;
using storage::EpochNumber;
using storage::StreamInfo;

class LocalView final : public ArchiveView {
 public:
  explicit LocalView(const storage::Archive& archive) : archive_(&archive) {}
  explicit LocalView(std::unique_ptr<storage::Archive> archive)
      : owned_(std::move(archive)), archive_(owned_.get()) {}

  Result<Place> locate(std::string_view stream, std::optional<EpochNumber> epoch) override {
    STANDPIPE_TRY(const StreamInfo info, find(stream));
    for (const EpochInfo& candidate : info.epochs) {
      const bool is_wanted =
          epoch ? candidate.number == *epoch : candidate.number == info.epochs.back().number;
      if (!is_wanted) continue;
      return Place{info.spec.name, info.spec.kind, candidate.number, candidate.newest,
                   candidate.window_floor};
    }
    return Error{Errc::not_found,
                 fmt::format("stream '{}' has no epoch {}: it has 1 to {}", info.spec.name,
                             epoch ? to_int(*epoch) : 0U, to_int(info.epochs.back().number))};
  }

  Result<FramePage> read_after(const Place& place, Seq after, Seq until) override {
    FramePage page;
    page.position = after;
    if (after >= until) {
      page.is_last = true;
      return page;
    }
    STANDPIPE_TRY(storage::Reader * reader, reader_of(place));
    STANDPIPE_TRY(const storage::ReadStep step, reader->read_after(after));
    if (std::holds_alternative<storage::CaughtUp>(step)) {
      page.is_last = true;
    } else if (const auto* passed = std::get_if<storage::WindowPassed>(&step)) {
      page.passed.push_back(passed->gap);
      page.position = previous(passed->gap.before);
      page.is_last = page.position >= until;
    } else {
      fill(page, std::get<storage::RunSlice>(step), until);
    }
    return page;
  }

  Result<Seq> position_at(const Place& place, std::int64_t clock_ms) override {
    STANDPIPE_TRY(storage::Reader * reader, reader_of(place));
    return reader->position_at(clock_ms);
  }

  Result<std::vector<storage::Gap>> gaps(const Place& place, Seq after, Seq before,
                                         std::size_t max) override {
    STANDPIPE_TRY(const StreamInfo info, find(place.stream));
    return archive_->gaps(info.id, place.epoch, after, before, max);
  }

  Result<std::string> describe(std::string_view stream) override {
    if (!stream.empty()) STANDPIPE_CHECK(find(stream));
    return describe_archive(*archive_, stream);
  }

  Result<void> verify() override { return archive_->verify_files(); }

 private:
  Result<StreamInfo> find(std::string_view name) const {
    const std::vector<StreamInfo> streams = archive_->streams();
    if (streams.empty()) return Error{Errc::not_found, "the archive holds no stream yet"};
    if (name.empty() && streams.size() == 1) return streams.front();
    std::vector<std::string> names;
    for (const StreamInfo& info : streams) {
      if (info.spec.name == name) return info;
      names.push_back(info.spec.name);
    }
    const std::string known = fmt::format("{}", fmt::join(names, ", "));
    if (name.empty()) {
      return Error{
          Errc::invalid,
          fmt::format("the archive holds several streams: choose one by --stream: {}", known)};
    }
    return Error{Errc::not_found, fmt::format("no stream '{}'; there is: {}", name, known)};
  }

  Result<storage::Reader*> reader_of(const Place& place) {
    const auto key = std::make_pair(place.stream, place.epoch);
    if (const auto found = readers_.find(key); found != readers_.end()) return &found->second;
    STANDPIPE_TRY(const StreamInfo info, find(place.stream));
    STANDPIPE_TRY(storage::Reader reader, archive_->reader(info.id, place.epoch));
    return &readers_.emplace(key, std::move(reader)).first->second;
  }

  static void fill(FramePage& page, const storage::RunSlice& slice, Seq until) {
    const storage::WireRun& run = *slice.run;
    for (std::size_t i = slice.first_frame; i < run.frames.size(); ++i) {
      const storage::RunFrame& frame = run.frames[i];
      if (frame.seq > until) {
        page.is_last = true;
        break;
      }
      page.position = frame.seq;
      if (frame.length == 0) continue;  // erased
      page.frames.push_back({frame.seq, run.partition, run.received_first_ms, run.received_last_ms,
                             run.clock_ms, run.frame_of(i)});
    }
    page.is_last = page.is_last || page.position >= until;
    page.owner = slice.run;
  }

  std::unique_ptr<storage::Archive> owned_;  // null where the caller keeps it
  const storage::Archive* archive_;
  std::map<std::pair<std::string, EpochNumber>, storage::Reader> readers_;  // gone before owned_
};

}  // namespace

std::unique_ptr<ArchiveView> view_of(const storage::Archive& archive) {
  return std::make_unique<LocalView>(archive);
}

std::unique_ptr<ArchiveView> make_local_view(std::unique_ptr<storage::Archive> archive) {
  return std::make_unique<LocalView>(std::move(archive));
}

}  // namespace standpipe::tools
