// Any number of frames that weigh and compress like real ones, for benches and long runs.
//
// Each is a copy of one of the 150 frames of the public corpus in which everything that differs
// between real frames is fresh: every digest (the same digest gets the same replacement inside one
// frame, as in a real tree), signatures, DIDs, record keys and revisions, seq and time. Repeating
// one block would compress as nothing real does. Where the corpus is missing the templates are made
// here, with a like structure. The blocks do not hash to their CIDs: archives must not care.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/seq.h"

namespace standpipe::test {

// splitmix64: the same numbers on every platform, which std:: distributions do not promise.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  // 0 .. bound-1; `bound` must not be 0. The bias is below 2^-32 for the bounds that tests use.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

 private:
  std::uint64_t state_;
};

struct BulkFramesOptions {
  std::uint64_t seed = 1;
  // Above 2^32, so that nine bytes of CBOR are the canonical length of every seq to come.
  Seq first{31'527'015'472};
  std::int64_t first_time_ms = 1'783'175'887'000;  // 2026-07-04T14:38:07Z
  std::int64_t frames_per_second = 342;            // the mean of the network
  bool uses_corpus = true;                         // false: own templates, wherever it runs
};

// One thread. Memory: the templates and one frame.
class BulkFrames {
 public:
  explicit BulkFrames(const BulkFramesOptions& options = {});

  // The next frame, valid until the next call. Seqs are contiguous; `time` is not monotonic, like
  // the real one, but stays within a quarter of a second of the rate.
  ByteView next();

  Seq seq() const { return previous(next_); }        // of the frame that next() returned last
  std::int64_t time_ms() const { return time_ms_; }  // likewise
  bool is_from_corpus() const { return is_from_corpus_; }

 private:
  struct Patch {
    enum class Kind : std::uint8_t { random, base32_did, base32_tid } kind;
    std::size_t at;
    std::size_t size;
    std::size_t same_as;  // earlier patch of this template with the same bytes, or itself
  };
  struct Template {
    Bytes bytes;
    std::vector<Patch> patches;
    std::size_t seq_at;   // the eight bytes after 1b
    std::size_t time_at;  // the 24 characters; 0 if there is none
  };
  static Template make_template(Bytes frame);
  void fill(const Patch& patch, Bytes& bytes);

  BulkFramesOptions options_;
  Random random_;
  std::vector<Template> templates_;
  bool is_from_corpus_ = false;
  Seq next_;
  std::uint64_t made_ = 0;
  std::int64_t time_ms_ = 0;
  Bytes frame_;
};

}  // namespace standpipe::test
