#include "tools/sim/source.h"

#include <utility>

#include "schema/base/assert.h"
#include "tools/sim/labels.h"
#include "tools/sim/schedule.h"

namespace standpipe::tools::sim {
namespace {

constexpr int kLabelsPerStep = 1'000;
constexpr std::uint64_t kStepsPerQuestion = 1'000;  // a step to a label is one of many commits

class Repos final : public Source {
 public:
  Repos(NetworkOptions options, std::shared_ptr<const KeyPool> pool, Seq after) {
    options.after = after;
    auto network = Network::create(options, std::move(pool));
    STANDPIPE_ASSERT(network.has_value(), "options have been checked");
    network_ = std::move(*network);
  }
  bool pass_over() override { return network_->pass_over(); }
  std::optional<TimedFrame> next() override {
    auto frame = network_->next();
    if (!frame) return std::nullopt;
    return TimedFrame{frame->seq, frame->time_ms, std::move(frame->bytes)};
  }

 private:
  std::unique_ptr<Network> network_;
};

class LabelSource final : public Source {
 public:
  LabelSource(const NetworkOptions& options, Seq after) : labeler_(options), after_(after) {}

  bool pass_over() override {
    for (int i = 0; i < kLabelsPerStep; ++i) {
      if (!next_) next_ = labeler_.next();
      if (!next_ || next_->seq > after_) return false;
      next_.reset();
    }
    return true;
  }
  std::optional<TimedFrame> next() override {
    while (pass_over()) {
    }
    if (!next_) return std::nullopt;
    TimedFrame frame{next_->seq, next_->time_ms, labeler_.make_frame(*next_)};
    next_.reset();
    return frame;
  }

 private:
  Labeler labeler_;
  const Seq after_;
  std::optional<LabelSlot> next_;
};

}  // namespace

std::unique_ptr<Source> make_source(storage::StreamKind kind, const NetworkOptions& options,
                                    std::shared_ptr<const KeyPool> pool, Seq after) {
  if (kind == storage::StreamKind::repos) {
    return std::make_unique<Repos>(options, std::move(pool), after);
  }
  return std::make_unique<LabelSource>(options, after);
}

class Edge::Plan {
 public:
  struct Place {
    Seq seq;  // kSeqNone: an #info
    std::int64_t time_ms = 0;
  };
  virtual ~Plan() = default;

  const std::optional<Place>& peek() {
    if (!next_ && !has_ended_) {
      next_ = take();
      has_ended_ = !next_;
    }
    return next_;
  }
  void step() { next_.reset(); }
  virtual std::uint64_t accounts() const = 0;

  static std::unique_ptr<Plan> of(storage::StreamKind kind, const NetworkOptions& options);

 protected:
  virtual std::optional<Place> take() = 0;

 private:
  std::optional<Place> next_;
  bool has_ended_ = false;

  class OfRepos;
  class OfLabels;
};

class Edge::Plan::OfRepos final : public Plan {
 public:
  explicit OfRepos(const NetworkOptions& options) : schedule_(schedule_options(options)) {}
  std::uint64_t accounts() const override { return schedule_.accounts(); }

 protected:
  std::optional<Place> take() override {
    const auto slot = schedule_.next();
    if (!slot) return std::nullopt;
    return Place{slot->seq, static_cast<std::int64_t>(slot->micros / 1000)};
  }

 private:
  Schedule schedule_;
};

class Edge::Plan::OfLabels final : public Plan {
 public:
  explicit OfLabels(const NetworkOptions& options) : labeler_(options) {}
  std::uint64_t accounts() const override { return 0; }

 protected:
  std::optional<Place> take() override {
    const auto slot = labeler_.next();
    if (!slot) return std::nullopt;
    return Place{slot->seq, slot->time_ms};
  }

 private:
  Labeler labeler_;
};

std::unique_ptr<Edge::Plan> Edge::Plan::of(storage::StreamKind kind,
                                           const NetworkOptions& options) {
  if (kind == storage::StreamKind::repos) return std::make_unique<OfRepos>(options);
  return std::make_unique<OfLabels>(options);
}

Edge::Edge(storage::StreamKind kind, const NetworkOptions& options)
    : plan_(Plan::of(kind, options)),
      newest_(kind == storage::StreamKind::repos ? previous(options.first_seq) : kSeqNone),
      time_ms_(options.start_ms) {}
Edge::~Edge() = default;
Edge::Edge(Edge&&) noexcept = default;

void Edge::step() {
  const auto& place = plan_->peek();
  if (place->seq != kSeqNone) newest_ = place->seq;
  time_ms_ = place->time_ms;
  plan_->step();
}

void Edge::advance_to(std::int64_t time_ms) {
  while (plan_->peek() && plan_->peek()->time_ms <= time_ms) step();
}

bool Edge::pass(Seq seq, const std::function<bool()>& is_stopping) {
  for (std::uint64_t steps = 0; newest_ < seq && plan_->peek(); ++steps) {
    if (is_stopping && steps % kStepsPerQuestion == 0 && is_stopping()) return false;
    step();
  }
  return true;
}

std::uint64_t Edge::accounts() const { return plan_->accounts(); }

}  // namespace standpipe::tools::sim
