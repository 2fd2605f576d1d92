#include "archiver/validator.h"

#include <fmt/format.h>

#include <utility>

namespace standpipe::archiver {
namespace {

using storage::Judgement;

constexpr std::int64_t kLogIntervalMs = 10'000;

}  // namespace

Validator::Validator(std::string name, const Clock& clock)
    : name_(std::move(name)),
      aside_log_(clock, kLogIntervalMs),
      error_log_(clock, kLogIntervalMs) {}

Result<Verdict> Validator::judge(storage::Appender& appender, const PipelineEntry& entry) {
  stats_.bytes += entry.bytes_total;
  const auto count = [this](Judgement judgement) {
    ++stats_.judged[static_cast<std::size_t>(judgement)];
  };
  if (entry.kind == EntryKind::frame) {
    ++stats_.frames;
    STANDPIPE_TRY(const Verdict verdict, judge_frame(appender, entry));
    count(verdict.judgement);
    return verdict;
  }
  const bool is_text = entry.kind == EntryKind::text;
  ++(is_text ? stats_.text : stats_.oversize);
  const Unarchivable reason = is_text ? Unarchivable::text_message : Unarchivable::too_large;
  STANDPIPE_TRY(const Judgement judgement,
                is_text
                    ? appender.offer_foreign(reason, entry.bytes, entry.received_ms)
                    : appender.offer_oversize(entry.bytes, entry.bytes_total, entry.received_ms));
  count(judgement);
  if (judgement == Judgement::quarantined) keep_aside(reason, entry);
  return Verdict{judgement, false};
}

Result<Verdict> Validator::judge_frame(storage::Appender& appender, const PipelineEntry& entry) {
  STANDPIPE_TRY(const Judgement judgement, appender.offer(entry.bytes, entry.received_ms));
  Verdict verdict{judgement, false};
  // Few frames come to this: that they are looked at once more costs nothing on the common path.
  switch (judgement) {
    case Judgement::quarantined:
      keep_aside(scan_frame(entry.bytes).why, entry);
      break;
    case Judgement::conflict:
      keep_aside(Unarchivable::conflict, entry);
      break;
    case Judgement::late:
      keep_aside(Unarchivable::late, entry);
      break;
    case Judgement::noted: {
      const FrameScan scan = scan_frame(entry.bytes);
      const Envelope& said = scan.envelope;
      verdict.is_error = scan.why == Unarchivable::error_frame && said.error_name != "FutureCursor";
      error_log_.log(scan.why == Unarchivable::error_frame ? LogLevel::warn : LogLevel::info,
                     fmt::format("stream {}: upstream says {}: {}", name_,
                                 said.error_name.substr(0, 200), said.message.substr(0, 500)));
      break;
    }
    case Judgement::accepted:
    case Judgement::duplicate:
    case Judgement::refused:
      break;
  }
  return verdict;
}

void Validator::keep_aside(Unarchivable reason, const PipelineEntry& entry) {
  ++stats_.kept_aside[static_cast<std::size_t>(reason)];
  aside_log_.log(LogLevel::warn, fmt::format("stream {}: a message of {} bytes was kept aside: {}",
                                             name_, entry.bytes_total, to_string(reason)));
}

}  // namespace standpipe::archiver
