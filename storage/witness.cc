#include "storage/witness.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "schema/base/assert.h"
#include "schema/base/bytes.h"
#include "schema/base/crc32c.h"

namespace standpipe::storage {
namespace {

constexpr std::size_t kSlotBytes = 4096;
constexpr std::string_view kMagic = "SPWITNS1";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kVersionAt = 8, kSequenceAt = 12, kArchiveAt = 20, kCleanAt = 36,
                      kCountAt = 40, kEntriesAt = 44, kEntryBytes = 24, kCrcAt = kSlotBytes - 4;
static_assert(kEntriesAt + kWitnessEntriesMax * kEntryBytes <= kCrcAt);

using Slot = std::array<std::byte, kSlotBytes>;

Slot encode(const WitnessState& state) {
  Slot slot{};
  std::byte* at = slot.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  store_le(at + kVersionAt, kVersion);
  store_le(at + kSequenceAt, state.sequence);
  std::copy(state.archive.begin(), state.archive.end(), at + kArchiveAt);
  at[kCleanAt] = state.is_clean ? std::byte{1} : std::byte{0};
  store_le(at + kCountAt, static_cast<std::uint32_t>(state.entries.size()));
  std::byte* entry_at = at + kEntriesAt;
  for (const WitnessEntry& entry : state.entries) {
    store_le(entry_at, to_int(entry.stream));
    store_le(entry_at + 4, to_int(entry.epoch));
    store_le(entry_at + 8, static_cast<std::uint64_t>(to_int(entry.newest)));
    store_le(entry_at + 16, static_cast<std::uint64_t>(to_int(entry.floor)));
    entry_at += kEntryBytes;
  }
  store_le(at + kCrcAt, crc32c(ByteView(slot).first(kCrcAt)));
  return slot;
}

Result<WitnessState> decode(const Slot& slot) {
  const std::byte* at = slot.data();
  if (as_text(ByteView(slot).first(kMagic.size())) != kMagic) {
    return Error{Errc::corrupt, "wrong magic"};
  }
  if (load_le<std::uint32_t>(at + kCrcAt) != crc32c(ByteView(slot).first(kCrcAt))) {
    return Error{Errc::corrupt, "wrong checksum"};
  }
  if (load_le<std::uint32_t>(at + kVersionAt) != kVersion) {
    return Error{Errc::unsupported, "version " +
                                        std::to_string(load_le<std::uint32_t>(at + kVersionAt)) +
                                        " is newer than this program"};
  }
  const auto count = load_le<std::uint32_t>(at + kCountAt);
  if (count > kWitnessEntriesMax) return Error{Errc::corrupt, "too many entries"};
  WitnessState state;
  state.sequence = load_le<std::uint64_t>(at + kSequenceAt);
  std::copy_n(at + kArchiveAt, state.archive.size(), state.archive.begin());
  state.is_clean = at[kCleanAt] == std::byte{1};
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::byte* entry_at = at + kEntriesAt + i * kEntryBytes;
    state.entries.push_back({StreamId{load_le<std::uint32_t>(entry_at)},
                             EpochNumber{load_le<std::uint32_t>(entry_at + 4)},
                             Seq{load_le<std::int64_t>(entry_at + 8)},
                             Seq{load_le<std::int64_t>(entry_at + 16)}});
  }
  return state;
}

Error system_error(const std::filesystem::path& path, std::string_view doing) {
  const Errc code = errno == ENOSPC ? Errc::limit : Errc::io;
  return Error{code, std::string(doing) + " " + path.string() + ": " + std::strerror(errno)};
}

}  // namespace

Result<Witness> Witness::open(const std::filesystem::path& path) {
  Witness witness(path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return witness;
    return system_error(path, "cannot open");
  }
  std::array<Slot, 2> slots{};
  for (std::size_t i = 0; i < 2; ++i) {
    // A file cut short reads as zeroes, which no slot is.
    if (::pread(fd, slots[i].data(), kSlotBytes, static_cast<off_t>(i * kSlotBytes)) < 0) {
      const Error error = system_error(path, "cannot read");
      ::close(fd);
      return error;
    }
  }
  ::close(fd);
  // Created, and then the power went: nothing had been witnessed yet.
  if (slots[0] == Slot{} && slots[1] == Slot{}) return witness;
  std::string complaints;
  for (std::size_t i = 0; i < 2; ++i) {
    Result<WitnessState> state = decode(slots[i]);
    if (state) {
      if (!witness.state_ || state->sequence > witness.state_->sequence) {
        witness.state_ = std::move(state).value();
      }
      continue;
    }
    if (state.error().code == Errc::unsupported) {
      return Error{Errc::unsupported, path.string() + ": " + state.error().detail};
    }
    // The second slot is untouched until the second write.
    const bool is_unused = i == 1 && slots[1] == Slot{};
    if (is_unused) continue;
    complaints += (complaints.empty() ? "slot " : ", slot ") + std::to_string(i) + " (byte " +
                  std::to_string(i * kSlotBytes) + "): " + state.error().detail;
  }
  if (!witness.state_) {
    return Error{Errc::corrupt, path.string() + ": no valid slot: " + complaints};
  }
  if (!complaints.empty()) witness.warning_ = path.string() + ": " + complaints;
  return witness;
}

Witness::Witness(Witness&& other) noexcept
    : path_(std::move(other.path_)),
      state_(std::move(other.state_)),
      warning_(std::move(other.warning_)),
      fd_(std::exchange(other.fd_, -1)) {}

Witness& Witness::operator=(Witness&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(state_, other.state_);
  std::swap(warning_, other.warning_);
  std::swap(fd_, other.fd_);
  return *this;
}

Witness::~Witness() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Witness::write(WitnessState state) {
  STANDPIPE_ASSERT(state.entries.size() <= kWitnessEntriesMax, "the witness is full");
  if (fd_ < 0) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_DSYNC | O_CLOEXEC, 0644);
    if (fd_ < 0) return system_error(path_, "cannot open");
  }
  state.sequence = state_ ? state_->sequence + 1 : 0;
  const Slot slot = encode(state);
  const auto at = static_cast<off_t>((state.sequence % 2) * kSlotBytes);
  if (::pwrite(fd_, slot.data(), kSlotBytes, at) != static_cast<ssize_t>(kSlotBytes)) {
    return system_error(path_, "cannot write");
  }
  state_ = std::move(state);
  return {};
}

}  // namespace standpipe::storage
