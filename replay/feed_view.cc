#include "replay/feed_view.h"

#include "replay/subscriber.h"
#include "schema/base/assert.h"

namespace standpipe::replay {

FeedView::FeedView(FeedPtr served)
    : feed(std::move(served)), tail(feed->log), looked_up_(tail.newest()) {}

void FeedView::on_published() {
  tail.refresh();
  for (const SubscriberPtr& one : std::exchange(waiting, {})) one->on_published();
  look_up();
  tell_ends();
}

FilterIndex::Id FeedView::enlist(Subscriber& subscriber, std::shared_ptr<const FrameFilter> filter,
                                 std::optional<Seq> until) {
  const FilterIndex::Id id = index_.add(std::move(filter));
  if (listed_.size() <= id) listed_.resize(id + 1);
  listed_[id] = {&subscriber, until};
  if (until) ends_.emplace(*until, id);
  return id;
}

void FeedView::strike(FilterIndex::Id id) {
  index_.remove(id);
  if (listed_[id].until) ends_.erase({*listed_[id].until, id});
  listed_[id] = {};
}

void FeedView::look_up() {
  if (index_.empty()) {
    looked_up_ = tail.newest();
    place_ = {};
    return;
  }
  if (!tail.holds(looked_up_)) {
    // More was published than the log keeps: what is lost here was not looked up, and each has to
    // find it in the archive from where it stood.
    for (const Listed& one : listed_) {
      if (one.subscriber != nullptr) one.subscriber->wake();
    }
    looked_up_ = tail.newest();
    place_ = {};
    return;
  }
  for (;;) {
    const FrameSpan span = tail.read_after(looked_up_, place_);
    if (span.empty()) return;
    for (std::size_t i = 0; i < span.frames.size(); ++i) {
      tell_of(span, i);
      looked_up_ = span.frames[i].seq;
      ++place_.frame;
    }
  }
}

void FeedView::tell_of(const FrameSpan& span, std::size_t i) {
  index_.match(span, i, found_);
  for (const FilterIndex::Id id : found_) {
    listed_[id].subscriber->on_match(span.frames[i].seq, looked_up_, place_);
  }
}

void FeedView::tell_ends() {
  while (!ends_.empty() && ends_.begin()->first <= looked_up_) {
    const FilterIndex::Id id = ends_.begin()->second;
    ends_.erase(ends_.begin());
    listed_[id].until.reset();
    listed_[id].subscriber->wake();
  }
}

}  // namespace standpipe::replay
