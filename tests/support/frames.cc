#include "tests/support/frames.h"

#include <array>
#include <random>
#include <utility>
#include <variant>

#include "schema/cbor.h"
#include "schema/frame.h"

namespace standpipe::test {
namespace {

// Pseudo-random bytes that depend on nothing but the spec.
Bytes noise(std::mt19937_64& random, std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random();
    for (std::size_t j = i; j < size && j < i + 8; ++j) {
      out[j] = static_cast<std::byte>((word >> (8 * (j - i))) & 0xFF);
    }
  }
  return out;
}

std::string base32(std::mt19937_64& random, std::size_t size) {
  static constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(kAlphabet[random() % kAlphabet.size()]);
  return out;
}

// CIDv1, dag-cbor, sha-256, of bytes that nobody has.
Bytes make_cid(std::mt19937_64& random) {
  Bytes cid{std::byte{0x01}, std::byte{0x71}, std::byte{0x12}, std::byte{0x20}};
  const Bytes digest = noise(random, 32);
  cid.insert(cid.end(), digest.begin(), digest.end());
  return cid;
}

}  // namespace

Bytes make_frame(const FrameSpec& spec) {
  std::mt19937_64 random(static_cast<std::uint64_t>(spec.seq) * 0x9E3779B97F4A7C15ULL +
                         spec.variant);
  const std::int64_t time_ms = spec.time_ms != 0 ? spec.time_ms : frame_time_ms(spec.seq);
  Bytes out;
  CborWriter cbor(out);
  cbor.write_map(2);
  cbor.write_text("t");
  cbor.write_text("#commit");
  cbor.write_text("op");
  cbor.write_integer(1);

  cbor.write_map(11);  // keys in canonical order: shorter first, then bytewise
  cbor.write_text("ops");
  cbor.write_array(1);
  cbor.write_map(3);
  cbor.write_text("cid");
  cbor.write_link(make_cid(random));
  cbor.write_text("path");
  cbor.write_text("app.bsky.feed.post/" + base32(random, 13));
  cbor.write_text("action");
  cbor.write_text("create");
  cbor.write_text("rev");
  cbor.write_text(base32(random, 13));
  cbor.write_text("seq");
  cbor.write_integer(spec.seq);
  cbor.write_text("repo");
  cbor.write_text("did:plc:" + base32(random, 24));
  cbor.write_text("time");
  cbor.write_text(format_datetime_ms(time_ms));
  cbor.write_text("blobs");
  cbor.write_array(0);
  cbor.write_text("since");
  cbor.write_null();
  cbor.write_text("blocks");
  cbor.write_bytes(noise(random, spec.blocks_bytes));
  cbor.write_text("commit");
  cbor.write_link(make_cid(random));
  cbor.write_text("rebase");
  cbor.write_boolean(false);
  cbor.write_text("tooBig");
  cbor.write_boolean(false);
  return out;
}

Bytes make_frame(std::int64_t seq) { return make_frame(FrameSpec{.seq = seq}); }

Result<FrameMap> read_all(const storage::Archive& archive, storage::StreamId stream,
                          storage::EpochNumber epoch, Seq after) {
  FrameMap out;
  STANDPIPE_CHECK(read_into(out, archive, stream, epoch, after));
  return out;
}

Result<void> read_into(FrameMap& out, const storage::Archive& archive, storage::StreamId stream,
                       storage::EpochNumber epoch, Seq after) {
  STANDPIPE_TRY(storage::Reader reader, archive.reader(stream, epoch));
  Seq position = after;
  for (;;) {
    STANDPIPE_TRY(const storage::ReadStep step, reader.read_after(position));
    if (std::holds_alternative<storage::CaughtUp>(step)) return {};
    if (const auto* passed = std::get_if<storage::WindowPassed>(&step)) {
      if (previous(passed->gap.before) <= position) {
        return Error{Errc::corrupt, "the window passed a position without moving it: seq " +
                                        std::to_string(to_int(position))};
      }
      position = previous(passed->gap.before);
      continue;
    }
    const auto& slice = std::get<storage::RunSlice>(step);
    if (slice.first_frame >= slice.run->frames.size()) {
      return Error{Errc::corrupt,
                   "a run without frames after seq " + std::to_string(to_int(position))};
    }
    for (std::size_t i = slice.first_frame; i < slice.run->frames.size(); ++i) {
      const Seq seq = slice.run->frames[i].seq;
      if (seq <= position) {
        return Error{Errc::corrupt, "seq " + std::to_string(to_int(seq)) + " was read after seq " +
                                        std::to_string(to_int(position))};
      }
      position = seq;
      out.emplace(to_int(seq), std::string(as_text(slice.run->frame_of(i))));
    }
  }
}

std::string differences(const FrameMap& expected, const FrameMap& actual) {
  static constexpr int kShown = 5;
  std::string out;
  int found = 0;
  const auto note = [&](std::int64_t seq, std::string_view what) {
    if (++found <= kShown) out += "seq " + std::to_string(seq) + " " + std::string(what) + "; ";
  };
  for (const auto& [seq, bytes] : expected) {
    const auto at = actual.find(seq);
    if (at == actual.end()) {
      note(seq, "is missing");
    } else if (at->second != bytes) {
      note(seq, "has other bytes");
    }
  }
  for (const auto& [seq, bytes] : actual) {
    if (!expected.contains(seq)) note(seq, "should not be there");
  }
  if (found > kShown) out += std::to_string(found) + " differences in all";
  return out;
}

}  // namespace standpipe::test
