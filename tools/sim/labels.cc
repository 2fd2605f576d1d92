#include "tools/sim/labels.h"

#include <array>
#include <utility>

#include "schema/cbor_writer.h"
#include "schema/datetime.h"
#include "schema/event.h"
#include "schema/label_signature.h"
#include "tools/sim/persona.h"
#include "tools/sim/random.h"
#include "tools/sim/record.h"
#include "tools/sim/repo_frame.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::size_t kStandingMax = 64;
constexpr std::array<std::string_view, 7> kValues = {
    "spam", "porn", "sexual", "nudity", "graphic-media", "impersonation", "!warn"};

}  // namespace

Labeler::Labeler(const NetworkOptions& options)
    : options_(options),
      did_(did_of(options.seed, kLabelerAccount)),
      key_(make_signing_key(options.seed, kLabelerAccount)),
      keeps_labelling_(options.labels_per_mille > 0 && keeps_committing(schedule_options(options))),
      schedule_(schedule_options(options)),
      random_(mix(options.seed, 0x6c6162656c)) {}

LabelSlot::Given Labeler::choose(const Slot& slot) {
  const std::uint64_t at = random_.below(100);
  if (at < 8 && !standing_.empty()) {
    const auto chosen =
        standing_.begin() + static_cast<std::ptrdiff_t>(random_.below(standing_.size()));
    LabelSlot::Given given = std::move(*chosen);
    standing_.erase(chosen);
    given.is_negation = true;
    return given;
  }
  LabelSlot::Given given;
  const std::string did =
      make_persona(options_.seed, slot.account,
                   options_.odd_per_mille[static_cast<std::size_t>(Odd::did_web)])
          .did;
  if (at < 50) {
    given.uri = did;
  } else if (at < 65) {
    given.uri = "at://" + did + "/app.bsky.actor.profile/self";
  } else {
    Foreign post =
        foreign_record("app.bsky.feed.post", {options_.seed, slot.micros, did, {}}, random_);
    given.uri = std::move(post.uri);
    given.cid = std::move(post.cid);
  }
  given.val = kValues[random_.below(kValues.size())];
  standing_.push_back(given);
  if (standing_.size() > kStandingMax) standing_.pop_front();
  return given;
}

std::optional<LabelSlot> Labeler::next() {
  if (options_.frames == 0 && !keeps_labelling_) return std::nullopt;  // it would look for ever
  while (const auto slot = schedule_.next()) {
    if (slot->kind != SlotKind::commit) continue;
    if (random_.below(1000) >= options_.labels_per_mille) continue;
    LabelSlot labels;
    newest_ = Seq{to_int(newest_) + 1 + static_cast<std::int64_t>(random_.below(3))};
    labels.seq = newest_;
    labels.time_ms = static_cast<std::int64_t>(slot->micros / 1000);
    std::uint64_t count = random_.below(10) == 0 ? 2 + random_.below(2) : 1;
    while (count-- > 0) labels.given.push_back(choose(*slot));
    return labels;
  }
  return std::nullopt;
}

Bytes Labeler::make_frame(const LabelSlot& slot) const {
  Bytes out = begin_frame("#labels", 64 + 400 * slot.given.size());
  CborWriter writer(out);
  CborMapWriter payload(writer, 2);
  payload.write_key("seq");
  writer.write_integer(to_int(slot.seq));
  payload.write_key("labels");
  writer.write_array(slot.given.size());
  const std::string cts = format_datetime_ms(slot.time_ms);
  for (const LabelSlot::Given& given : slot.given) {
    Label label;
    label.src = did_;
    label.uri = given.uri;
    label.val = given.val;
    label.cts = cts;
    if (!given.cid.empty()) label.cid = given.cid;
    label.is_negation = given.is_negation;
    label.ver = 1;
    const Signature signature = key_.sign(sha256(encode_unsigned_label(label)));
    label.sig = signature;
    write_label(writer, label);
  }
  return out;
}

std::string Labeler::did_document() const {
  return make_labeler_document(did_, make_signing_key(options_.seed, kLabelerRepoKey).public_key(),
                               key_.public_key());
}

}  // namespace standpipe::tools::sim
