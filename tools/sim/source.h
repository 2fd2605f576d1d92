// One stream of a simulated host, as one subscriber reads it: the frames after a seq, made anew.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/seq.h"
#include "storage/types.h"
#include "tools/sim/network.h"

namespace standpipe::tools::sim {

struct TimedFrame {
  std::optional<Seq> seq;  // none of an #info
  std::int64_t time_ms = 0;
  Bytes bytes;
};

// One thread at a time.
class Source {
 public:
  virtual ~Source() = default;
  // A step of some milliseconds towards the first frame; false once that is next.
  virtual bool pass_over() = 0;
  virtual std::optional<TimedFrame> next() = 0;  // nullopt after the last
};

// `options` must be in order: see check_options(). `pool`: as Network::create().
std::unique_ptr<Source> make_source(storage::StreamKind kind, const NetworkOptions& options,
                                    std::shared_ptr<const KeyPool> pool, Seq after);

// How far a stream has come, without making a frame: where a subscriber without a cursor begins,
// and which cursors are of the future. One thread at a time.
class Edge {
 public:
  Edge(storage::StreamKind kind, const NetworkOptions& options);
  ~Edge();
  Edge(Edge&&) noexcept;

  // Over all that appears up to this time. Never goes back.
  void advance_to(std::int64_t time_ms);
  // Over all up to this seq. `is_stopping`, where there is one, is asked now and then; false: it
  // has said so.
  bool pass(Seq seq, const std::function<bool()>& is_stopping = {});

  Seq newest() const { return newest_; }  // that has been passed; at first, the one before any
  std::int64_t newest_ms() const { return time_ms_; }  // its time; before the first: the start
  std::uint64_t accounts() const;                      // that have appeared; of repos alone

 private:
  class Plan;
  void step();

  std::unique_ptr<Plan> plan_;
  Seq newest_;
  std::int64_t time_ms_;
};

}  // namespace standpipe::tools::sim
