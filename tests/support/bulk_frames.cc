#include "tests/support/bulk_frames.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "schema/base/assert.h"
#include "schema/cbor.h"
#include "schema/frame.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {
namespace {

constexpr std::string_view kDidAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kTidAlphabet = "234567abcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kPlcBytes = 24;   // characters after "did:plc:"
constexpr std::size_t kTidBytes = 13;   // characters of a TID
constexpr std::size_t kTidKept = 3;     // its first characters, which change once in months
constexpr std::size_t kTimeBytes = 24;  // "2026-07-04T14:38:07.619Z"

bool is_all_of(std::string_view text, std::string_view alphabet) {
  return text.find_first_not_of(alphabet) == std::string_view::npos;
}

// -- Templates of our own -------------------------------------------------------------------------

// Stand-ins: every byte of them is replaced in each frame, so they only need to be distinct.
class Placeholders {
 public:
  explicit Placeholders(std::uint64_t seed) : random_(seed) {}

  Bytes digest(std::size_t bytes) {
    Bytes out(bytes);
    for (std::byte& b : out) b = static_cast<std::byte>(random_.next() & 0xFF);
    return out;
  }
  Bytes cid() {
    Bytes out = {std::byte{1}, std::byte{0x71}, std::byte{0x12}, std::byte{0x20}};
    const Bytes digest_bytes = digest(kDigestBytes);
    out.insert(out.end(), digest_bytes.begin(), digest_bytes.end());
    return out;
  }
  std::string base32(std::size_t size, std::string_view alphabet) {
    std::string out(size, 'a');
    for (char& c : out) c = alphabet[random_.below(alphabet.size())];
    return out;
  }
  std::string tid() { return "3mp" + base32(kTidBytes - kTidKept, kTidAlphabet); }
  Random& random() { return random_; }

 private:
  Random random_;
};

void append(Bytes& to, const Bytes& bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

void append_varint(Bytes& to, std::size_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<std::byte>((value & 0x7F) | 0x80));
  to.push_back(static_cast<std::byte>(value));
}

void append_block(Bytes& car, const Bytes& cid, const Bytes& block) {
  append_varint(car, cid.size() + block.size());
  append(car, cid);
  append(car, block);
}

// A node as the trees of real repositories have them: 4.6 entries, of which the first carries the
// whole key and the others a suffix, each with the CID of its record, most with one of a subtree.
// `child`: CID of the node below it that is in the frame, too; none for the last.
Bytes make_tree_node(Placeholders& made, std::string_view collection, const Bytes* child) {
  Bytes node;
  CborWriter writer(node);
  const std::size_t entries = 2 + made.random().below(6);
  writer.write_map(2);
  writer.write_text("e");
  writer.write_array(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t suffix = 7 + made.random().below(6);
    const std::string key =
        i == 0 ? std::string(collection) + "/" + made.tid() : made.base32(suffix, kTidAlphabet);
    writer.write_map(4);
    writer.write_text("k");
    writer.write_bytes(as_bytes(key));
    writer.write_text("p");
    const std::size_t shared = i == 0 ? 0 : collection.size() + 1 + kTidBytes - suffix;
    writer.write_integer(static_cast<std::int64_t>(shared));
    writer.write_text("t");
    if (made.random().chance(3)) {
      writer.write_null();
    } else {
      writer.write_link(made.cid());
    }
    writer.write_text("v");
    writer.write_link(made.cid());
  }
  writer.write_text("l");
  if (child == nullptr) {
    writer.write_null();
  } else {
    writer.write_link(*child);
  }
  return node;
}

Bytes make_record(Placeholders& made, std::string_view collection) {
  Bytes record;
  CborWriter writer(record);
  writer.write_map(3);
  writer.write_text("$type");
  writer.write_text(collection);
  writer.write_text("subject");
  writer.write_map(2);
  writer.write_text("cid");
  writer.write_text("bafyrei" + made.base32(52, kDidAlphabet));
  writer.write_text("uri");
  writer.write_text("at://did:plc:" + made.base32(kPlcBytes, kDidAlphabet) +
                    "/app.bsky.feed.post/" + made.tid());
  writer.write_text("createdAt");
  writer.write_text("2026-07-04T14:38:07.619Z");
  return record;
}

struct Names {
  std::string did, rev, since;
};

Bytes make_commit_block(Placeholders& made, const Names& names, const Bytes& root) {
  Bytes block;
  CborWriter writer(block);
  writer.write_map(6);
  writer.write_text("did");
  writer.write_text(names.did);
  writer.write_text("rev");
  writer.write_text(names.rev);
  writer.write_text("sig");
  writer.write_bytes(made.digest(kSignatureBytes));
  writer.write_text("data");
  writer.write_link(root);
  writer.write_text("prev");
  writer.write_null();
  writer.write_text("version");
  writer.write_integer(3);
  return block;
}

Bytes make_car(Placeholders& made, const Names& names, const Bytes& commit, const Bytes& record_cid,
               std::string_view collection) {
  Bytes header;
  CborWriter writer(header);
  writer.write_map(2);
  writer.write_text("roots");
  writer.write_array(1);
  writer.write_link(commit);
  writer.write_text("version");
  writer.write_integer(1);
  Bytes car;
  append_varint(car, header.size());
  append(car, header);
  std::vector<Bytes> nodes(6 + made.random().below(7));
  for (Bytes& cid : nodes) cid = made.cid();
  const Bytes& root = nodes.front();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Bytes* const child = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
    append_block(car, nodes[i], make_tree_node(made, collection, child));
  }
  append_block(car, record_cid, make_record(made, collection));
  append_block(car, commit, make_commit_block(made, names, root));
  return car;
}

Bytes make_commit_frame(std::uint64_t seed) {
  constexpr std::array<std::string_view, 4> kCollections = {
      "app.bsky.feed.like", "app.bsky.feed.post", "app.bsky.feed.repost", "app.bsky.graph.follow"};
  Placeholders made(seed);
  const std::string_view collection = kCollections[seed % kCollections.size()];
  const Names names{"did:plc:" + made.base32(kPlcBytes, kDidAlphabet), made.tid(), made.tid()};
  const Bytes commit = made.cid();
  const Bytes record_cid = made.cid();
  const Bytes car = make_car(made, names, commit, record_cid, collection);
  Bytes frame;
  CborWriter writer(frame);
  writer.write_map(2);
  writer.write_text("t");
  writer.write_text("#commit");
  writer.write_text("op");
  writer.write_integer(1);
  writer.write_map(12);
  writer.write_text("ops");
  writer.write_array(1);
  writer.write_map(3);
  writer.write_text("cid");
  writer.write_link(record_cid);
  writer.write_text("path");
  writer.write_text(std::string(collection) + "/" + made.tid());
  writer.write_text("action");
  writer.write_text("create");
  writer.write_text("rev");
  writer.write_text(names.rev);
  writer.write_text("seq");
  writer.write_integer(31'527'015'472);
  writer.write_text("repo");
  writer.write_text(names.did);
  writer.write_text("time");
  writer.write_text("2026-07-04T14:38:07.619Z");
  writer.write_text("blobs");
  writer.write_array(0);
  writer.write_text("since");
  writer.write_text(names.since);
  writer.write_text("blocks");
  writer.write_bytes(car);
  writer.write_text("commit");
  writer.write_link(commit);
  writer.write_text("rebase");
  writer.write_boolean(false);
  writer.write_text("tooBig");
  writer.write_boolean(false);
  writer.write_text("prevData");
  writer.write_link(made.cid());
  return frame;
}

// -- Templates of the corpus ----------------------------------------------------------------------

std::vector<Bytes> read_corpus() {
  const std::optional<std::filesystem::path> dir = find_shared_dir();
  if (!dir || !std::filesystem::exists(*dir / "data/jetstream-corpus/frames.bin.zst")) return {};
  return read_frame_corpus(*dir / "data/jetstream-corpus/frames.bin.zst");
}

// Where the entry of a tree node that starts at `at` ("ak" and a byte string) has its key.
std::optional<std::pair<std::size_t, std::size_t>> tree_key_at(std::string_view frame,
                                                               std::size_t at) {
  if (at + 4 > frame.size()) return std::nullopt;
  const auto head = static_cast<unsigned char>(frame[at + 2]);
  std::size_t begin = at + 3;
  std::size_t size = head - 0x40U;
  if (head == 0x58) {
    size = static_cast<unsigned char>(frame[at + 3]);
    begin = at + 4;
  } else if (head < 0x41 || head > 0x57) {
    return std::nullopt;
  }
  if (begin + size > frame.size()) return std::nullopt;
  const std::size_t slash = frame.substr(begin, size).rfind('/');
  if (slash == std::string_view::npos) return std::pair{begin, size};
  const std::size_t skipped = slash + 1;
  if (size - skipped <= kTidKept) return std::nullopt;
  return std::pair{begin + skipped + kTidKept, size - skipped - kTidKept};
}

}  // namespace

BulkFrames::Template BulkFrames::make_template(Bytes bytes) {
  Template made{std::move(bytes), {}, 0, 0};
  const std::string_view frame = as_text(made.bytes);
  std::map<std::pair<Patch::Kind, std::string_view>, std::size_t> seen;
  const auto add = [&](Patch::Kind kind, std::size_t at, std::size_t size) {
    const auto [it, is_new] = seen.try_emplace({kind, frame.substr(at, size)}, made.patches.size());
    static_cast<void>(is_new);
    made.patches.push_back(Patch{kind, at, size, it->second});
  };
  const auto starts = [&](std::size_t at, std::string_view with) {
    return frame.substr(at, with.size()) == with;
  };
  for (std::size_t at = 0; at < frame.size(); ++at) {
    const std::size_t left = frame.size() - at;
    if ((starts(at, "\x01\x71\x12\x20") || starts(at, "\x01\x55\x12\x20")) &&
        left >= 4 + kDigestBytes) {
      add(Patch::Kind::random, at + 4, kDigestBytes);
      at += 3 + kDigestBytes;
    } else if (starts(at, "csigX@") && left >= 6 + kSignatureBytes) {
      add(Patch::Kind::random, at + 6, kSignatureBytes);
      at += 5 + kSignatureBytes;
    } else if (starts(at, "did:plc:") && left >= 8 + kPlcBytes &&
               is_all_of(frame.substr(at + 8, kPlcBytes), kDidAlphabet)) {
      add(Patch::Kind::base32_did, at + 8, kPlcBytes);
      at += 7 + kPlcBytes;
    } else if (starts(at, "bafyrei") && left >= 59 &&
               is_all_of(frame.substr(at + 7, 52), kDidAlphabet)) {
      add(Patch::Kind::base32_did, at + 7, 52);
      at += 58;
    } else if ((frame[at] == '/' || frame[at] == '\x6d') && left > kTidBytes &&
               frame[at + 1] == '3' && is_all_of(frame.substr(at + 1, kTidBytes), kTidAlphabet)) {
      add(Patch::Kind::base32_tid, at + 1 + kTidKept, kTidBytes - kTidKept);
      at += kTidBytes;
    } else if (starts(at, "ak")) {
      const auto key = tree_key_at(frame, at);
      if (key && is_all_of(frame.substr(key->first, key->second), kTidAlphabet)) {
        add(Patch::Kind::base32_tid, key->first, key->second);
        at = key->first + key->second - 1;
      }
    }
  }
  const std::string_view seq_key("cseq\x1b");
  const std::size_t seq_at = frame.find(seq_key);
  STANDPIPE_ASSERT(seq_at != std::string_view::npos, "a template has a seq of nine bytes");
  made.seq_at = seq_at + seq_key.size();
  const std::string_view time_key("dtimex\x18");
  if (const std::size_t at = frame.find(time_key); at != std::string_view::npos) {
    made.time_at = at + time_key.size();
  }
  return made;
}

BulkFrames::BulkFrames(const BulkFramesOptions& options)
    : options_(options), random_(options.seed), next_(options.first) {
  std::vector<Bytes> frames;
  if (options.uses_corpus) frames = read_corpus();
  is_from_corpus_ = !frames.empty();
  if (frames.empty()) {
    for (std::uint64_t i = 0; i < 150; ++i) frames.push_back(make_commit_frame(i));
  }
  for (Bytes& frame : frames) templates_.push_back(make_template(std::move(frame)));
}

void BulkFrames::fill(const Patch& patch, Bytes& bytes) {
  std::byte* const out = bytes.data() + patch.at;
  if (patch.kind == Patch::Kind::random) {
    for (std::size_t i = 0; i < patch.size; i += 8) store_le(out + i, random_.next());
    return;
  }
  const std::string_view alphabet =
      patch.kind == Patch::Kind::base32_did ? kDidAlphabet : kTidAlphabet;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < patch.size; ++i) {
    if (i % 12 == 0) bits = random_.next();
    out[i] = static_cast<std::byte>(alphabet[bits & 31]);
    bits >>= 5;
  }
}

ByteView BulkFrames::next() {
  const Template& from = templates_[made_ % templates_.size()];
  frame_ = from.bytes;
  for (std::size_t i = 0; i < from.patches.size(); ++i) {
    const Patch& patch = from.patches[i];
    if (patch.same_as == i) {
      fill(patch, frame_);
    } else {
      std::memcpy(frame_.data() + patch.at, frame_.data() + from.patches[patch.same_as].at,
                  patch.size);
    }
  }
  store_be(frame_.data() + from.seq_at, static_cast<std::uint64_t>(to_int(next_)));
  time_ms_ = options_.first_time_ms +
             static_cast<std::int64_t>(made_) * 1000 / options_.frames_per_second +
             static_cast<std::int64_t>(random_.below(500)) - 250;
  if (from.time_at != 0) {
    const std::string time = format_datetime_ms(time_ms_);
    STANDPIPE_ASSERT(time.size() == kTimeBytes, "a datetime of this form has 24 characters");
    std::memcpy(frame_.data() + from.time_at, time.data(), time.size());
  }
  next_ = standpipe::next(next_);
  ++made_;
  return frame_;
}

}  // namespace standpipe::test
