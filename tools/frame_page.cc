#include "tools/frame_page.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <utility>

namespace standpipe::tools {
namespace {

enum Record : std::uint8_t { kFrame = 1, kPassed = 2, kEnd = 3 };

constexpr std::size_t kFrameHead = 5 * 8 + 4;
constexpr std::size_t kPassedBytes = 2 * 8 + 1;
constexpr std::size_t kEndBytes = 8 + 1;

template <typename T>
void append_le(std::string& out, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  store_le(bytes.data(), value);
  out.append(as_text(bytes));
}

void append_i64(std::string& out, std::int64_t value) {
  append_le(out, static_cast<std::uint64_t>(value));
}

class PageReader {
 public:
  explicit PageReader(ByteView bytes) : bytes_(bytes) {}

  Result<void> read_into(FramePage& page) {
    while (at_ < bytes_.size()) {
      const auto record = std::to_integer<std::uint8_t>(bytes_[at_++]);
      if (record == kFrame && has(kFrameHead)) {
        STANDPIPE_CHECK(read_frame(page));
      } else if (record == kPassed && has(kPassedBytes)) {
        storage::Gap gap;
        gap.after = Seq{take_i64()};
        gap.before = Seq{take_i64()};
        gap.reason = storage::GapReason{take<std::uint8_t>()};
        page.passed.push_back(std::move(gap));
      } else if (record == kEnd && bytes_.size() - at_ == kEndBytes) {
        page.position = Seq{take_i64()};
        page.is_last = take<std::uint8_t>() != 0;
        return {};
      } else {
        return wrong();
      }
    }
    return wrong();
  }

 private:
  bool has(std::size_t size) const { return bytes_.size() - at_ >= size; }

  Error wrong() const {
    return Error{Errc::malformed, fmt::format("page of frames is wrong or cut at byte {}", at_)};
  }

  // The caller has checked that it is there.
  template <typename T>
  T take() {
    const T value = load_le<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return value;
  }
  std::int64_t take_i64() { return static_cast<std::int64_t>(take<std::uint64_t>()); }

  Result<void> read_frame(FramePage& page) {
    ViewFrame frame;
    frame.seq = Seq{take_i64()};
    frame.partition = storage::PartitionId{take<std::uint64_t>()};
    frame.received_first_ms = take_i64();
    frame.received_last_ms = take_i64();
    frame.clock_ms = take_i64();
    const auto length = take<std::uint32_t>();
    if (!has(length)) return wrong();
    frame.bytes = bytes_.subspan(at_, length);
    at_ += length;
    page.frames.push_back(frame);
    return {};
  }

  ByteView bytes_;
  std::size_t at_ = 0;
};

}  // namespace

void append_page(std::string& out, const FramePage& page) {
  for (const storage::Gap& gap : page.passed) {
    append_le(out, std::uint8_t{kPassed});
    append_i64(out, to_int(gap.after));
    append_i64(out, to_int(gap.before));
    append_le(out, static_cast<std::uint8_t>(gap.reason));
  }
  for (const ViewFrame& frame : page.frames) {
    append_le(out, std::uint8_t{kFrame});
    append_i64(out, to_int(frame.seq));
    append_le(out, to_int(frame.partition));
    append_i64(out, frame.received_first_ms);
    append_i64(out, frame.received_last_ms);
    append_i64(out, frame.clock_ms);
    append_le(out, static_cast<std::uint32_t>(frame.bytes.size()));
    out.append(as_text(frame.bytes));
  }
}

void finish_page(std::string& out, Seq position, bool is_last) {
  append_le(out, std::uint8_t{kEnd});
  append_i64(out, to_int(position));
  append_le(out, static_cast<std::uint8_t>(is_last ? 1 : 0));
}

Result<FramePage> parse_page(std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  FramePage page;
  PageReader reader(as_bytes(*owner));
  STANDPIPE_CHECK(reader.read_into(page));
  page.owner = owner;
  return page;
}

}  // namespace standpipe::tools
