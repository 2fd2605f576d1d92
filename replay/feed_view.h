// A network thread's hold on a feed, and its subscribers that wait for the next frame.
//
// Those without a filter are called whenever something is published. Those with one are called when
// a frame that they want is, or their end is near: each frame is looked up once for all of them. A
// filtered subscriber that waits does not move for each frame that it passes over; it stands where
// the last look-up ended, and works that out when somebody asks.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "replay/feed.h"
#include "replay/filter_index.h"
#include "replay/live_log.h"
#include "schema/frame_filter.h"
#include "schema/seq.h"

namespace standpipe::replay {

class Subscriber;
using SubscriberPtr = std::shared_ptr<Subscriber>;

// One thread.
class FeedView {
 public:
  explicit FeedView(FeedPtr served);
  FeedView(const FeedView&) = delete;
  FeedView& operator=(const FeedView&) = delete;

  const FeedPtr feed;
  LiveTail tail;
  std::vector<SubscriberPtr> waiting;  // to be called when something is published
  std::size_t subscribers = 0;

  // Takes over what was published, and calls those whom it concerns.
  void on_published();

  // From now on `subscriber` is told of the frames that its filter lets through, and once `until`
  // is reached. It must be struck off before it is gone.
  FilterIndex::Id enlist(Subscriber& subscriber, std::shared_ptr<const FrameFilter> filter,
                         std::optional<Seq> until);
  void strike(FilterIndex::Id id);

  // Every frame up to here was looked up, and those who are enlisted have been told of it. Whoever
  // has found nothing after its position in `tail` does not stand below.
  Seq looked_up() const { return looked_up_; }
  const LiveTail::Place& place() const { return place_; }  // of looked_up() in the tail

 private:
  struct Listed {
    Subscriber* subscriber = nullptr;  // not ours
    std::optional<Seq> until;
  };
  void look_up();
  void tell_of(const FrameSpan& span, std::size_t i);
  void tell_ends();

  FilterIndex index_;
  std::vector<Listed> listed_;                      // by id
  std::set<std::pair<Seq, FilterIndex::Id>> ends_;  // of those that have one
  std::vector<FilterIndex::Id> found_;
  Seq looked_up_;
  LiveTail::Place place_;
};

}  // namespace standpipe::replay
