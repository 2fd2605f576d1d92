// What a stream of frames is made of, beside what the real one was.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/frame.h"

namespace standpipe::tools::sim {

// A figure of the frames that were taken, and the same of 183 real ones (reference: 2026).
struct Figure {
  std::string name;
  std::string unit;  // "B", "%", or empty
  double simulated = 0;
  double real = 0;
};

// One thread.
class Report {
 public:
  // Every frame is counted; of every kDetailEvery-th, what is in it as well.
  static constexpr std::uint64_t kDetailEvery = 16;

  // Errors are those of decode_event: of frames that nobody could read.
  Result<void> take(ByteView frame);

  std::uint64_t frames() const { return frames_; }
  std::uint64_t bytes() const { return bytes_; }
  std::vector<Figure> figures() const;
  // Operations by "create app.bsky.feed.like", in the order of the names; of the frames looked
  // into.
  const std::map<std::string, std::uint64_t>& operations() const { return operations_; }

 private:
  struct Details {
    std::uint64_t commits = 0;
    std::uint64_t nodes = 0;
    std::uint64_t entries = 0;
    std::uint64_t foreign_cids = 0;
    std::uint64_t records = 0;
    std::uint64_t ops = 0;
    std::uint64_t single_op = 0;
    std::uint64_t with_proof_nodes = 0;     // behind the commit block
    std::uint64_t chained = 0;              // with a rev before
    std::array<std::uint64_t, 4> within{};  // 10 s, 1 min, 10 min, 1 h of it
  };
  Result<void> look_into(ByteView frame);
  std::uint64_t size_at(std::uint64_t per_mille) const;
  double share_of_ops(const std::string& operation) const;

  std::uint64_t frames_ = 0;
  std::uint64_t bytes_ = 0;
  std::map<FrameKind, std::uint64_t> kinds_;
  std::uint64_t commit_bytes_ = 0;
  std::vector<std::uint32_t> sizes_;  // commits by size in bytes, the last: of that size or more
  Details details_;
  std::map<std::string, std::uint64_t> operations_;
};

std::string to_text(const std::vector<Figure>& figures);  // a line each

}  // namespace standpipe::tools::sim
