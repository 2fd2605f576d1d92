// One simulated account: its identity, its repository, and the frames that it causes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/cid.h"
#include "schema/crypto.h"
#include "schema/mst.h"
#include "tools/sim/collections.h"
#include "tools/sim/key_pool.h"
#include "tools/sim/persona.h"
#include "tools/sim/random.h"
#include "tools/sim/record.h"
#include "tools/sim/slot.h"

namespace standpipe::tools::sim {

// What all repositories share. Not changed while they live.
struct World {
  std::uint64_t seed = 0;
  std::uint64_t start_micros = 0;
  std::uint32_t did_web_per_mille = 0;
  std::shared_ptr<const KeyPool> pool;
};

// One thread at a time. Takes about 10 KB. What it makes depends on the world, its number, and the
// slots that it has been given, in order.
class Repo {
 public:
  // `slot`: the first one of the account. `world` must outlive this.
  Repo(const World& world, const Slot& slot);

  // The frame for the slot, which must be one of this account. Slots rise in time.
  Bytes make_frame(const Slot& slot);
  // Leaves the account as make_frame() would, at a fraction of the cost: nothing is signed, no
  // proof is gathered.
  void pass_over(const Slot& slot);

 private:
  struct Op {
    std::string path;
    std::optional<Cid> cid;
    std::optional<Cid> prev;
    Bytes record;
  };

  void choose_deeds();
  Deed next_deed();
  void plan_ops(const Slot& slot, std::vector<Op>& ops);
  void plan_deed(Deed deed, std::uint64_t micros, std::vector<Op>& ops);
  void create(Collection collection, std::uint64_t micros, std::vector<Op>& ops);
  void put(std::string path, Bytes record, std::vector<Op>& ops);
  // Of a record that each account has once; another one than is there.
  void update(Collection collection, const RecordContext& context, std::vector<Op>& ops);
  bool erase(Collection collection, std::vector<Op>& ops);
  void prune_tree();

  Bytes make_commit(const Slot& slot);
  Bytes make_sync(const Slot& slot);
  Bytes make_identity(const Slot& slot) const;
  Bytes make_account(const Slot& slot) const;
  std::string make_rev(const Slot& slot);
  std::uint64_t draw_delay_ms();
  std::string make_time(const Slot& slot);
  void begin_rev(const Slot& slot);
  Bytes sign(const std::string& rev);

  const World& world_;
  Random random_;
  Persona persona_;
  PrivateKey key_;
  Mst tree_;
  std::string rev_;               // of the newest commit; empty before the first
  std::uint64_t tid_micros_ = 0;  // of the newest record key
  unsigned clock_id_ = 0;
  std::array<std::size_t, 3> deeds_{};  // places in kDeeds: what this account is given to doing
  std::size_t last_deed_ = 0;           // place in deeds_
  std::vector<std::string> deletable_;  // keys; the newest last
  std::uint32_t commits_since_prune_ = 0;
};

}  // namespace standpipe::tools::sim
