// The simulated network's labeler: what it would have to say of the accounts and their posts.
//
// Like the network itself a function of the seed: now and then a commit makes the labeler look at
// its account, and give a label to it, to its profile, or to a post that the account is of; some
// labels are taken back later. All are signed with the key of the labeler's DID document.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/crypto.h"
#include "schema/seq.h"
#include "tools/sim/network.h"
#include "tools/sim/schedule.h"

namespace standpipe::tools::sim {

// One event of subscribeLabels, before anything is signed.
struct LabelSlot {
  struct Given {
    std::string uri;
    std::string cid;  // empty: of the subject as such, whatever it holds
    std::string val;
    bool is_negation = false;
  };
  Seq seq = kSeqNone;
  std::int64_t time_ms = 0;  // when it appears, by the clock of the simulation
  std::vector<Given> given;  // never empty
};

// One thread.
class Labeler {
 public:
  // `options` of the network, which must be in order: see check_options().
  explicit Labeler(const NetworkOptions& options);

  // What comes next; nullopt after the last commit of the network, and of one without an end where
  // its options leave nothing to label. Seqs rise, and skip some, as those of labelers do.
  std::optional<LabelSlot> next();
  Bytes make_frame(const LabelSlot& slot) const;

  const std::string& did() const { return did_; }
  std::string did_document() const;

 private:
  LabelSlot::Given choose(const Slot& slot);

  const NetworkOptions options_;
  const std::string did_;
  const PrivateKey key_;
  const bool keeps_labelling_;  // as long as the network goes on
  Schedule schedule_;
  Random random_;
  Seq newest_ = kSeqNone;
  std::deque<LabelSlot::Given> standing_;  // the newest that could be taken back
};

}  // namespace standpipe::tools::sim
