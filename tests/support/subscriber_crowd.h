// Thousands of subscribers on one thread, for load and fan-out: each counts, checks that seqs rise,
// and keeps a digest of what it got. Holds the server to the same rules of framing as Subscriber.
//
// Public calls may be made from any thread. A wait that is not fulfilled within kTestDeadline
// throws std::runtime_error with what there was instead, as does an upgrade that is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::test {

struct CrowdOptions {
  bool checks_seqs = true;  // false: frames are counted, not looked into
  bool takes_digests = true;
  std::string source_address;        // 127.0.0.x; empty: as the kernel likes
  std::size_t connecting_max = 128;  // handshakes at once
  std::size_t message_bytes_max = std::size_t{8} << 20;
};

struct CrowdGroup {
  std::size_t count = 1;
  std::string target;
  bool reads = true;       // false: not a byte after the handshake, until set_reading()
  int receive_buffer = 0;  // SO_RCVBUF; 0: as the kernel likes
};

// One subscriber as far as it has come.
struct CrowdMember {
  std::uint64_t frames = 0;              // binary messages
  std::uint64_t frames_without_seq = 0;  // of them: #info and errors
  std::uint64_t bytes = 0;               // of their payloads
  std::int64_t first_seq = 0;            // 0: none yet
  std::int64_t last_seq = 0;
  std::uint64_t pings = 0;   // answered, unless the socket was full
  std::uint64_t digest = 0;  // crowd_digest() of the frames so far
  std::string fault;  // what the server did wrong, seqs that do not rise among it; then it is left
  // "": open; "close 1008 ConsumerTooSlow", "close", "FIN", "FIN within a frame", "RST", "left".
  // A close frame is not answered: TCP ends.
  std::string end;
};

// XXH3 of the wire form of binary messages, one frame each: header and payload.
std::uint64_t crowd_digest(std::span<const Bytes> frames);

class SubscriberCrowd {
 public:
  explicit SubscriberCrowd(std::uint16_t port, CrowdOptions options = {});
  ~SubscriberCrowd();  // all leave by RST
  SubscriberCrowd(const SubscriberCrowd&) = delete;
  SubscriberCrowd& operator=(const SubscriberCrowd&) = delete;

  // Returns when all of them are upgraded. Members are numbered from 0 as they are added.
  void add(const CrowdGroup& group);
  std::size_t size() const;
  void set_reading(std::size_t first, std::size_t count, bool reads);

  CrowdMember member(std::size_t number) const;
  std::vector<CrowdMember> members() const;
  std::uint64_t frames() const;             // of all together
  std::vector<std::string> faults() const;  // "17: seq 4 after 5"; at best empty

  // These wait for all members that read, and throw at once when one of them ends too early or
  // has a fault.
  void wait_until_seq(std::int64_t seq) const;
  void wait_for_frames(std::uint64_t frames) const;
  void wait_for_ends() const;  // of all members, those that do not read too

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::test
