#include "tools/sim/repo.h"

#include <algorithm>
#include <utility>

#include "schema/base/assert.h"
#include "schema/datetime.h"
#include "schema/hash.h"
#include "schema/ids.h"
#include "schema/mst_node.h"
#include "schema/repo_commit.h"
#include "tools/sim/figures.h"
#include "tools/sim/record.h"
#include "tools/sim/repo_frame.h"
#include "tools/sim/skeleton.h"
#include "tools/sim/tid.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::uint32_t kCommitsBetweenPrunes = 64;
constexpr std::size_t kDeletableMax = 16;
constexpr std::uint64_t kDayMicros = std::uint64_t{86'400} * 1'000'000;
constexpr std::size_t kPathBytesOfLongKey = 1000;

std::string self_path(Collection collection) {
  return std::string(traits(collection).nsid) + "/self";
}

// Behind every record of the collection.
std::string end_path(Collection collection) {
  return std::string(traits(collection).nsid) + "/zzzzzzzzzzzzz";
}

}  // namespace

Repo::Repo(const World& world, const Slot& slot)
    : world_(world),
      random_(mix(mix(world.seed, 0x7265706f), slot.account)),
      persona_(make_persona(world.seed, slot.account, world.did_web_per_mille)),
      key_(make_signing_key(world.seed, slot.account)) {
  clock_id_ = static_cast<unsigned>(random_.below(32));
  choose_deeds();
  if (slot.is_new_repo) return;
  const std::uint64_t last_micros = slot.micros - slot.gap_micros;
  rev_ = TidText(last_micros, clock_id_).view();
  tid_micros_ = last_micros;
  SkeletonPlan plan;
  plan.records = draw(random_, kRepoRecords);
  plan.end_micros = std::min(last_micros, world.start_micros);
  const std::uint64_t age = (300 + random_.below(600)) * kDayMicros;
  plan.first_micros = plan.end_micros - std::min(plan.end_micros, age);
  plan.written.push_back(Collection::profile);
  bool has_status = false;
  bool has_teal = false;
  for (const std::size_t deed : deeds_) {
    plan.written.push_back(kDeeds[deed].collection);
    has_status = has_status || kDeeds[deed].deed == Deed::update_status;
    has_teal = has_teal || kDeeds[deed].deed == Deed::update_teal;
    if (kDeeds[deed].deed == Deed::gated) plan.written.push_back(Collection::threadgate);
    if (kDeeds[deed].deed == Deed::unfollow || kDeeds[deed].deed == Deed::unlike ||
        kDeeds[deed].deed == Deed::unpost) {
      plan.deleted_from = kDeeds[deed].collection;
      plan.deletable = 4;
    }
  }
  Skeleton skeleton = make_skeleton(*world.pool, plan, random_);
  tree_ = std::move(skeleton.tree);
  deletable_ = std::move(skeleton.deletable);
  std::vector<Op> before;
  const std::uint64_t micros = plan.end_micros;
  const RecordContext context{world.seed, micros, persona_.did, {}};
  put(self_path(Collection::profile), make_record(Collection::profile, context, random_), before);
  if (has_status) {
    put(self_path(Collection::status), make_record(Collection::status, context, random_), before);
  }
  if (has_teal) {
    put(self_path(Collection::teal_status), make_record(Collection::teal_status, context, random_),
        before);
  }
}

// Three draws from what the whole network does, so that what all accounts do adds up to it, while
// each keeps to a few collections: that is what lets its tree be held as a few paths.
void Repo::choose_deeds() {
  for (std::size_t& deed : deeds_) {
    std::uint64_t at = random_.below(1000);
    deed = 0;
    while (at >= kDeeds[deed].per_mille) at -= kDeeds[deed++].per_mille;
  }
}

Deed Repo::next_deed() {
  if (!random_.happens(600'000)) last_deed_ = random_.below(deeds_.size());
  return kDeeds[deeds_[last_deed_]].deed;
}

Bytes Repo::make_frame(const Slot& slot) {
  switch (slot.kind) {
    case SlotKind::commit:
      return make_commit(slot);
    case SlotKind::identity:
      return make_identity(slot);
    case SlotKind::sync:
      return make_sync(slot);
    default:
      return make_account(slot);
  }
}

void Repo::pass_over(const Slot& slot) {
  if (slot.kind == SlotKind::commit) {
    std::vector<Op> ops;
    plan_ops(slot, ops);
    rev_ = make_rev(slot);
    draw_delay_ms();
    prune_tree();
  } else if (slot.kind == SlotKind::sync) {
    begin_rev(slot);
    draw_delay_ms();
  }
}

void Repo::create(Collection collection, std::uint64_t micros, std::vector<Op>& ops) {
  // Clients name a record some time before its commit, and never twice alike.
  const std::uint64_t wanted = micros - random_.below(40'000);
  tid_micros_ = std::max(wanted, tid_micros_ + 1);
  std::string path(traits(collection).nsid);
  path += '/';
  path += TidText(tid_micros_, clock_id_).view();
  const RecordContext context{world_.seed, tid_micros_, persona_.did, {}};
  deletable_.push_back(path);
  if (deletable_.size() > kDeletableMax) deletable_.erase(deletable_.begin());
  put(std::move(path), make_record(collection, context, random_), ops);
}

void Repo::put(std::string path, Bytes record, std::vector<Op>& ops) {
  Op op;
  op.cid = Cid::of_dag_cbor(record);
  auto before = tree_.put(path, op.cid->bytes());
  STANDPIPE_ASSERT(before.has_value(), before.error().detail);
  op.prev = std::move(*before);
  op.path = std::move(path);
  op.record = std::move(record);
  ops.push_back(std::move(op));
}

// Two of one millisecond may come out the same, and an update to what was there is none.
void Repo::update(Collection collection, const RecordContext& context, std::vector<Op>& ops) {
  for (;;) {
    put(self_path(collection), make_record(collection, context, random_), ops);
    if (ops.back().prev != ops.back().cid) return;
    ops.pop_back();
  }
}

// Some key of the collection that may be deleted; false where there is none.
bool Repo::erase(Collection collection, std::vector<Op>& ops) {
  std::string prefix(traits(collection).nsid);
  prefix += '/';
  const std::uint64_t turn = random_.next();
  const auto is_candidate = [&](const std::string& key) { return key.starts_with(prefix); };
  for (;;) {
    const auto candidates = std::count_if(deletable_.begin(), deletable_.end(), is_candidate);
    if (candidates == 0) return false;
    auto chosen = std::find_if(deletable_.begin(), deletable_.end(), is_candidate);
    for (auto left = turn % static_cast<std::uint64_t>(candidates); left > 0; --left) {
      chosen = std::find_if(chosen + 1, deletable_.end(), is_candidate);
    }
    Op op;
    op.path = std::move(*chosen);
    deletable_.erase(chosen);
    auto before = tree_.erase(op.path);
    if (!before || !before->has_value()) continue;  // its neighbours are not held
    op.prev = std::move(*before);
    ops.push_back(std::move(op));
    return true;
  }
}

void Repo::plan_deed(Deed deed, std::uint64_t micros, std::vector<Op>& ops) {
  const RecordContext context{world_.seed, micros, persona_.did, {}};
  switch (deed) {
    case Deed::like:
      return create(Collection::like, micros, ops);
    case Deed::post:
      return create(Collection::post, micros, ops);
    case Deed::repost:
      return create(Collection::repost, micros, ops);
    case Deed::follow:
      return create(Collection::follow, micros, ops);
    case Deed::block:
      return create(Collection::block, micros, ops);
    case Deed::play:
      return create(Collection::teal_play, micros, ops);
    case Deed::thread:
      for (std::uint64_t i = 3 + random_.below(8); i > 0; --i) {
        create(Collection::post, micros, ops);
      }
      return;
    case Deed::gated: {
      create(Collection::post, micros, ops);
      RecordContext of_gate = context;
      const std::string rkey(TidText(tid_micros_, clock_id_).view());
      of_gate.post_rkey = rkey;
      std::string path(traits(Collection::threadgate).nsid);
      return put(path + '/' + rkey, make_record(Collection::threadgate, of_gate, random_), ops);
    }
    case Deed::pack:
      for (std::uint64_t i = 10 + random_.below(51); i > 0; --i) {
        create(Collection::follow, micros, ops);
      }
      return;
    case Deed::unfollow:
      if (!erase(Collection::follow, ops)) create(Collection::follow, micros, ops);
      return;
    case Deed::unlike:
      if (!erase(Collection::like, ops)) create(Collection::like, micros, ops);
      return;
    case Deed::unpost:
      if (!erase(Collection::post, ops)) create(Collection::post, micros, ops);
      return;
    case Deed::update_profile:
      return update(Collection::profile, context, ops);
    case Deed::update_status:
      return update(Collection::status, context, ops);
    case Deed::update_teal:
      return update(Collection::teal_status, context, ops);
  }
}

void Repo::plan_ops(const Slot& slot, std::vector<Op>& ops) {
  if (slot.odd == Odd::empty) return;
  const RecordContext context{world_.seed, slot.micros, persona_.did, {}};
  if (slot.odd == Odd::long_key) {
    // Before every real collection, where each tree is held.
    std::string path(kPathBytesOfLongKey / 2, 'a');
    path += '/';
    path.append(kPathBytesOfLongKey - path.size() - kTidBytes, 'a');
    path += TidText(slot.micros, clock_id_).view();
    return put(std::move(path), make_record(Collection::profile, context, random_), ops);
  }
  const Collection written = kDeeds[deeds_[0]].collection;
  if (slot.odd == Odd::big_record) {
    std::string path = self_path(Collection::profile);
    const std::size_t bytes = 100'000 + random_.below(800'000);
    return put(std::move(path), make_huge_post(bytes, context, random_), ops);
  }
  if (slot.odd == Odd::many_ops) {
    const bool is_single = traits(written).is_single;
    for (int i = 0; i < 200; ++i) {
      if (is_single) {
        // Such an account has nowhere to write but the places before its profile.
        std::string path = "app.bsky.actor.a/";
        tid_micros_ = std::max(slot.micros, tid_micros_ + 1);
        path += TidText(tid_micros_, clock_id_).view();
        put(std::move(path), make_record(Collection::profile, context, random_), ops);
      } else {
        create(written, slot.micros, ops);
      }
    }
    return;
  }
  plan_deed(next_deed(), slot.micros, ops);
}

void Repo::prune_tree() {
  if (++commits_since_prune_ < kCommitsBetweenPrunes) return;
  commits_since_prune_ = 0;
  std::vector<std::string> keys = deletable_;
  keys.push_back("ab/a");  // behind long keys, before all others
  keys.push_back(self_path(Collection::profile));
  for (const std::size_t deed : deeds_) {
    const Collection collection = kDeeds[deed].collection;
    keys.push_back(traits(collection).is_single ? self_path(collection) : end_path(collection));
    if (kDeeds[deed].deed == Deed::gated) keys.push_back(end_path(Collection::threadgate));
  }
  tree_ = prune(tree_, keys);
}

std::string Repo::make_rev(const Slot& slot) {
  std::uint64_t micros = slot.micros;
  if (slot.odd == Odd::rev_back && !rev_.empty()) {
    micros = Tid::parse(rev_).value().parts().micros - 1 - random_.below(10'000'000);
  }
  return std::string(TidText(micros, clock_id_).view());
}

// A relay stamps a commit soon after it was made: nine in ten within 10 ms, all within 0.6 s.
std::uint64_t Repo::draw_delay_ms() {
  return random_.happens(900'000) ? random_.below(10) : random_.below(570);
}

std::string Repo::make_time(const Slot& slot) {
  return format_datetime_ms(static_cast<std::int64_t>(slot.micros / 1000 + draw_delay_ms()));
}

// Of an account that has yet to be seen, or has yet to write anything.
void Repo::begin_rev(const Slot& slot) {
  if (rev_.empty()) rev_ = TidText(slot.micros, clock_id_).view();
}

Bytes Repo::sign(const std::string& rev) {
  const BlessedCid data = blessed_cid(tree_.root());
  return sign_repo_commit({persona_.did, rev, data, std::nullopt}, key_);
}

Bytes Repo::make_commit(const Slot& slot) {
  CommitFrame frame;
  frame.seq = slot.seq;
  frame.odd = slot.odd;
  frame.repo = persona_.did;
  frame.prev_data = blessed_cid(tree_.root());
  if (!rev_.empty()) frame.since = rev_;
  std::vector<Op> ops;
  plan_ops(slot, ops);
  frame.rev = make_rev(slot);
  frame.time = make_time(slot);
  const Bytes block = sign(frame.rev);
  frame.commit_block = block;
  for (const Op& op : ops) frame.ops.push_back({op.path, op.cid, op.prev, op.record});
  Bytes bytes = encode_commit_frame(frame, tree_);
  rev_ = frame.rev;
  prune_tree();
  return bytes;
}

Bytes Repo::make_sync(const Slot& slot) {
  begin_rev(slot);
  const Bytes block = sign(rev_);
  return encode_sync_frame({slot.seq, persona_.did, make_time(slot), rev_, block});
}

Bytes Repo::make_identity(const Slot& slot) const {
  const std::string time = format_datetime_ms(static_cast<std::int64_t>(slot.micros / 1000));
  return encode_identity_frame({slot.seq, persona_.did, time, persona_.handle});
}

Bytes Repo::make_account(const Slot& slot) const {
  const std::string time = format_datetime_ms(static_cast<std::int64_t>(slot.micros / 1000));
  std::string_view status;
  if (slot.kind == SlotKind::account_deactivated) status = "deactivated";
  if (slot.kind == SlotKind::account_takendown) status = "takendown";
  if (slot.kind == SlotKind::account_deleted) status = "deleted";
  return encode_account_frame({slot.seq, persona_.did, time, status});
}

}  // namespace standpipe::tools::sim
