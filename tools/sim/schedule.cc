#include "tools/sim/schedule.h"

#include <algorithm>
#include <functional>

#include "schema/base/assert.h"
#include "tools/sim/figures.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::uint32_t kNewReposPerMillion = 5'000;  // of accounts that appear
constexpr std::uint64_t kStepMicros = 3'000;          // between what belongs together
constexpr std::uint64_t kBurstMicros = 2'000'000;     // mean; half of it and once more, at random
constexpr std::uint64_t kCalmMicros = 60'000'000;     // mean, from the end of one to the next

}  // namespace

// As draw_odd() and decide_free() have it: odd ones come first, and what is odd is a commit, or
// ends its account, whose successor is new now and then and begins with one.
bool keeps_committing(const ScheduleOptions& options) {
  for (std::size_t i = 0; i < kOddKinds; ++i) {
    const Odd odd = static_cast<Odd>(i);
    if (odd == Odd::did_web || options.odd_per_mille[i] == 0) continue;
    if (odd != Odd::info) return true;
    if (options.odd_per_mille[i] == 1000) return false;
  }
  return options.mix.identity + options.mix.account + options.mix.sync < 1000;
}

Schedule::Schedule(const ScheduleOptions& options)
    : options_(options),
      random_(mix(options.seed, 0x7363686564756c65)),
      burst_random_(mix(options.seed, 0x6275727374)),
      burst_from_micros_(options.start_micros),
      burst_until_micros_(options.start_micros),
      now_micros_(options.start_micros),
      next_seq_(options.first_seq) {
  STANDPIPE_ASSERT(options.rate > 0 && options.accounts > 0, "options have been checked");
  // A little beyond where it will end: gaps between frames are random.
  const std::uint64_t span = options.frames * 1'000'000 / options.rate;
  horizon_micros_ = options.start_micros + span + span / 8 + 1'000'000;
}

std::optional<Slot> Schedule::next() {
  if (options_.frames > 0 && frames_ == options_.frames) return std::nullopt;
  ++frames_;
  const std::uint64_t wait = (random_.exponential() * 1'000'000 / rate_now()) >> 16;
  now_micros_ += std::max<std::uint64_t>(1, wait);
  Slot slot;
  slot.micros = now_micros_;
  slot.odd = draw_odd();
  if (slot.odd == Odd::info) {
    slot.kind = SlotKind::info;
    return slot;
  }
  slot.seq = Seq{next_seq_++};
  Due due = take_account(slot);
  due.stage = decide(slot, due.stage);
  const bool is_step = due.stage != Stage::free && due.stage != Stage::back_account;
  due.micros = now_micros_ + (is_step ? kStepMicros : draw(random_, kGapMicros));
  slot.is_last = due.stage == Stage::gone || (options_.frames > 0 && due.micros > horizon_micros_);
  if (!slot.is_last) {
    due_.push_back(due);
    std::push_heap(due_.begin(), due_.end(), std::greater<>());
  }
  return slot;
}

// Frames a second from now on; with the bursts, `rate` on average.
std::uint64_t Schedule::rate_now() {
  if (options_.burst_rate == 0) return options_.rate;
  while (now_micros_ >= burst_until_micros_) {
    burst_from_micros_ = burst_until_micros_ + ((burst_random_.exponential() * kCalmMicros) >> 16);
    burst_until_micros_ = burst_from_micros_ + kBurstMicros / 2 + burst_random_.below(kBurstMicros);
  }
  if (now_micros_ >= burst_from_micros_) return options_.burst_rate;
  const std::uint64_t in_all = options_.rate * (kCalmMicros + kBurstMicros);
  return std::max<std::uint64_t>(1, (in_all - options_.burst_rate * kBurstMicros) / kCalmMicros);
}

Schedule::Due Schedule::take_account(Slot& slot) {
  const bool is_due = !due_.empty() && due_.front().micros <= now_micros_;
  if (is_due || due_.size() >= options_.accounts) {
    std::pop_heap(due_.begin(), due_.end(), std::greater<>());
    const Due due = due_.back();
    due_.pop_back();
    slot.account = due.account;
    return due;
  }
  slot.account = accounts_++;
  slot.is_first = true;
  slot.is_new_repo = random_.happens(kNewReposPerMillion);
  // Had it been active since the start, it would have been seen.
  slot.gap_micros = draw(random_, kGapMicros, now_micros_ - options_.start_micros);
  return {now_micros_, slot.account, slot.is_new_repo ? Stage::new_identity : Stage::free};
}

// Sets the kind of `slot`; returns what the account is to do after it.
Schedule::Stage Schedule::decide(Slot& slot, Stage stage) {
  switch (stage) {
    case Stage::free:
      return decide_free(slot);
    case Stage::new_identity:
      slot.kind = SlotKind::identity;
      slot.odd.reset();
      return Stage::new_account;
    case Stage::new_account:
      slot.kind = SlotKind::account_active;
      slot.odd.reset();
      return Stage::new_commit;
    case Stage::new_commit:
      slot.odd.reset();
      return Stage::new_sync;
    case Stage::new_sync:
    case Stage::back_sync:
      slot.kind = SlotKind::sync;
      slot.odd.reset();
      return Stage::free;
    case Stage::back_account:
      slot.kind = SlotKind::account_active;
      slot.odd.reset();
      return Stage::back_identity;
    case Stage::back_identity:
      slot.kind = SlotKind::identity;
      slot.odd.reset();
      return Stage::back_sync;
    case Stage::gone:
      break;
  }
  STANDPIPE_ASSERT(false, "an account that is gone does not come back");
  return Stage::gone;
}

Schedule::Stage Schedule::decide_free(Slot& slot) {
  const std::uint64_t at = random_.below(1000);
  if (slot.odd == Odd::takedown || slot.odd == Odd::deletion) {
    slot.kind = slot.odd == Odd::takedown ? SlotKind::account_takendown : SlotKind::account_deleted;
    return Stage::gone;
  }
  if (slot.odd) return Stage::free;
  const Mix& mix = options_.mix;
  if (at < mix.identity) {
    slot.kind = SlotKind::identity;
  } else if (at < mix.identity + mix.account) {
    const bool is_active = random_.below(10) < 7;
    slot.kind = is_active ? SlotKind::account_active : SlotKind::account_deactivated;
    if (!is_active) return Stage::back_account;
  } else if (at < mix.identity + mix.account + mix.sync) {
    slot.kind = SlotKind::sync;
  }
  return Stage::free;
}

// The first that is asked for and happens.
std::optional<Odd> Schedule::draw_odd() {
  for (std::size_t i = 0; i < kOddKinds; ++i) {
    const Odd odd = static_cast<Odd>(i);
    if (odd == Odd::did_web || options_.odd_per_mille[i] == 0) continue;
    if (random_.below(1000) < options_.odd_per_mille[i]) return odd;
  }
  return std::nullopt;
}

}  // namespace standpipe::tools::sim
