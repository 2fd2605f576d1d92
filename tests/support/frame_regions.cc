#include "tests/support/frame_regions.h"

#include <algorithm>
#include <array>
#include <utility>

#include "schema/base/assert.h"
#include "schema/car.h"
#include "schema/cbor.h"
#include "schema/event.h"

namespace standpipe::test {
namespace {

// A first commit may lack its prevData, so under another name it is held against the empty tree,
// which is what it was held against before.
constexpr std::string_view kNameInFirst = "prevData's name, in a first commit";
constexpr std::array<std::string_view, 9> kUnproved = {
    "header", "seq", "time", "since", "blobs", "rebase", "tooBig", "prev", kNameInFirst};

class Regions {
 public:
  explicit Regions(ByteView frame)
      : frame_(frame),
        event_(decode_event(frame).value()),
        commit_(std::get<Commit>(event_)),
        header_bytes_(check_cbor(frame, {}).value()) {}

  std::vector<FrameRegion> read() {
    end("header", header_bytes_);
    CborReader reader(frame_.subspan(header_bytes_));
    const auto at = [&] { return header_bytes_ + reader.position(); };
    const std::uint64_t pairs = reader.read_map().value();
    end("payload map", at());
    for (std::uint64_t i = 0; i < pairs; ++i) {
      const std::string key(reader.read_text().value());
      if (key == "ops") {
        end("op encoding", at());
        read_ops(reader);
      } else if (key == "blocks") {
        end("blocks encoding", at());
        read_blocks(reader.read_bytes().value());
      } else {
        // A name that is not the field's any more is a field that is missing.
        const bool is_first = commit_.since.is_present && !commit_.since.value;
        end(key == "prevData" && is_first ? std::string(kNameInFirst) : key, at());
        reader.skip_item().value();
        end(key, at());
      }
    }
    STANDPIPE_ASSERT(regions_.back().end == frame_.size(), "bytes of nothing");
    return std::move(regions_);
  }

 private:
  void end(const std::string& name, std::size_t at) {
    const std::size_t begin = regions_.empty() ? 0 : regions_.back().end;
    if (at == begin) return;
    if (!regions_.empty() && regions_.back().name == name) {
      regions_.back().end = at;
    } else {
      regions_.push_back({name, begin, at});
    }
  }
  std::size_t at_of(ByteView part) const {
    return static_cast<std::size_t>(part.data() - frame_.data());
  }

  void read_ops(CborReader& reader) {
    const auto at = [&] { return header_bytes_ + reader.position(); };
    const std::uint64_t ops = reader.read_array().value();
    for (std::uint64_t i = 0; i < ops; ++i) {
      const std::uint64_t pairs = reader.read_map().value();
      for (std::uint64_t j = 0; j < pairs; ++j) {
        const std::string key(reader.read_text().value());
        end("op encoding", at());
        reader.skip_item().value();
        end("op " + key, at());
      }
    }
    end("op encoding", at());
  }

  void read_blocks(ByteView car) {
    const std::size_t car_at = at_of(car);
    end("blocks encoding", car_at);
    CarReader reader = CarReader::open(car).value();
    end("CAR header", car_at + reader.position());
    while (const auto block = reader.next().value()) {
      end("CAR length", at_of(block->cid));
      end("block CID", at_of(block->bytes));
      if (equal(block->cid, commit_.commit.bytes())) {
        read_object(block->bytes);
      } else {
        end(is_record(block->cid) ? "record" : "MST node", car_at + reader.position());
      }
    }
  }

  bool is_record(ByteView cid) const {
    return std::any_of(commit_.ops.begin(), commit_.ops.end(),
                       [&](const RepoOp& op) { return op.cid && equal(op.cid->bytes(), cid); });
  }

  void read_object(ByteView object) {
    CborReader reader(object);
    const std::uint64_t pairs = reader.read_map().value();
    for (std::uint64_t i = 0; i < pairs; ++i) {
      const std::string key(reader.read_text().value());
      end("commit object", at_of(object) + reader.position());
      reader.skip_item().value();
      end(key == "sig" ? "signature" : "commit object", at_of(object) + reader.position());
    }
  }

  const ByteView frame_;
  const Event event_;
  const Commit& commit_;
  const std::size_t header_bytes_;
  std::vector<FrameRegion> regions_;
};

}  // namespace

std::vector<FrameRegion> regions_of_commit(ByteView frame) { return Regions(frame).read(); }

bool is_proved(const std::string& region) {
  return std::find(kUnproved.begin(), kUnproved.end(), region) == kUnproved.end();
}

Bytes with_seq(Bytes frame, std::int64_t seq) {
  const std::array<std::byte, 5> key = {std::byte{0x63}, std::byte{'s'}, std::byte{'e'},
                                        std::byte{'q'}, std::byte{0x1B}};
  const auto at = std::search(frame.begin(), frame.end(), key.begin(), key.end());
  STANDPIPE_ASSERT(frame.end() - at > 13 && seq > UINT32_MAX, "no seq of nine bytes");
  store_be(&*at + key.size(), static_cast<std::uint64_t>(seq));
  return frame;
}

Bytes account_frame(std::string_view did, std::int64_t seq) {
  Bytes out;
  CborWriter writer(out);
  writer.write_map(2);
  writer.write_text("t");
  writer.write_text("#account");
  writer.write_text("op");
  writer.write_integer(1);
  writer.write_map(4);
  writer.write_text("did");
  writer.write_text(did);
  writer.write_text("seq");
  writer.write_integer(seq);
  writer.write_text("time");
  writer.write_text("2026-01-02T03:04:05.678Z");
  writer.write_text("active");
  writer.write_boolean(true);
  return out;
}

}  // namespace standpipe::test
