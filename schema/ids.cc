#include "schema/ids.h"

#include <algorithm>

#include "schema/ascii.h"

namespace standpipe {
namespace {

constexpr std::size_t kDidBytesMax = 2048;
constexpr std::size_t kHandleBytesMax = 253;
constexpr std::size_t kLabelBytesMax = 63;  // of a domain name, and of the name in an NSID
constexpr std::size_t kNsidBytesMax = 317;
constexpr std::size_t kRkeyBytesMax = 512;
constexpr std::size_t kAtUriBytesMax = 8192;
constexpr std::size_t kTidBytes = 13;
constexpr std::string_view kTidAlphabet = "234567abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kAtScheme = "at://";

template <typename Predicate>
bool all_of(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

// A label of a domain name: letters, digits and hyphens, the latter not at its ends.
bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= kLabelBytesMax && text.front() != '-' &&
         text.back() != '-' &&
         all_of(text, [](char c) { return is_ascii_alphanumeric(c) || c == '-'; });
}

// Whether `text` is labels joined by dots; counts them.
bool is_domain(std::string_view text, std::size_t& labels) {
  labels = 0;
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    ++labels;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::string_view after_last_dot(std::string_view text) { return text.substr(text.rfind('.') + 1); }

// The part of `text` between its `from`th '/' and the next, or empty.
std::string_view path_segment(std::string_view text, int from) {
  for (; from > 0; --from) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return {};
    text.remove_prefix(slash + 1);
  }
  return text.substr(0, text.find('/'));
}

}  // namespace

bool Did::is_valid(std::string_view text) {
  if (text.size() > kDidBytesMax || !text.starts_with("did:")) return false;
  const std::string_view rest = text.substr(4);
  const std::size_t colon = rest.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  if (!all_of(rest.substr(0, colon), is_ascii_lower)) return false;
  const std::string_view identifier = rest.substr(colon + 1);
  if (identifier.empty() || identifier.back() == ':' || identifier.back() == '%') return false;
  return all_of(identifier, [](char c) {
    return is_ascii_alphanumeric(c) || c == '.' || c == '_' || c == ':' || c == '%' || c == '-';
  });
}

std::string_view Did::method() const {
  const std::string_view rest = std::string_view(text_).substr(4);
  return rest.substr(0, rest.find(':'));
}

bool Handle::is_valid(std::string_view text) {
  std::size_t labels = 0;
  return text.size() <= kHandleBytesMax && is_domain(text, labels) && labels >= 2 &&
         is_ascii_letter(after_last_dot(text).front());
}

Handle Handle::normalized() const {
  Handle handle;
  handle.text_.resize(text_.size());
  std::transform(text_.begin(), text_.end(), handle.text_.begin(), to_ascii_lower);
  return handle;
}

// The authority is a domain name and so should end at 253 bytes; the interop vectors have a valid
// one of 283, and peers look at the whole alone.
bool Nsid::is_valid(std::string_view text) {
  if (text.size() > kNsidBytesMax) return false;
  const std::size_t dot = text.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view authority = text.substr(0, dot);
  const std::string_view name = text.substr(dot + 1);
  std::size_t labels = 0;
  return is_domain(authority, labels) && labels >= 2 && is_ascii_letter(authority.front()) &&
         !name.empty() && name.size() <= kLabelBytesMax && is_ascii_letter(name.front()) &&
         all_of(name, is_ascii_alphanumeric);
}

std::string_view Nsid::name() const { return after_last_dot(text_); }

bool Rkey::is_valid(std::string_view text) {
  if (text.empty() || text.size() > kRkeyBytesMax || text == "." || text == "..") return false;
  return all_of(text, [](char c) {
    return is_ascii_alphanumeric(c) || c == '_' || c == '~' || c == '.' || c == ':' || c == '-';
  });
}

bool Tid::is_valid(std::string_view text) {
  return text.size() == kTidBytes && text.front() <= 'j' &&
         all_of(text, [](char c) { return kTidAlphabet.find(c) != std::string_view::npos; });
}

Tid Tid::from_parts(Parts parts) {
  STANDPIPE_ASSERT(parts.micros <= kMicrosMax, "a TID has 53 bits of microseconds");
  STANDPIPE_ASSERT(parts.clock_id <= kClockIdMax, "a TID has 10 bits of clock id");
  const std::uint64_t value = (parts.micros << 10) | parts.clock_id;
  Tid tid;
  for (std::size_t i = 0; i < kTidBytes; ++i) {
    tid.text_.push_back(kTidAlphabet[(value >> (60 - 5 * i)) & 31U]);
  }
  return tid;
}

Tid::Parts Tid::parts() const {
  std::uint64_t value = 0;
  for (const char c : text_) value = (value << 5) | kTidAlphabet.find(c);
  return {value >> 10, static_cast<unsigned>(value & kClockIdMax)};
}

bool AtIdentifier::is_valid(std::string_view text) {
  return text.starts_with("did:") ? Did::is_valid(text) : Handle::is_valid(text);
}

bool RepoPath::is_valid(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && Nsid::is_valid(text.substr(0, slash)) &&
         Rkey::is_valid(text.substr(slash + 1));
}

std::string_view RepoPath::collection() const { return path_segment(text_, 0); }

std::string_view RepoPath::rkey() const { return path_segment(text_, 1); }

bool AtUri::is_valid(std::string_view text) {
  if (text.size() > kAtUriBytesMax || !text.starts_with(kAtScheme)) return false;
  const std::string_view rest = text.substr(kAtScheme.size());
  const std::size_t slash = rest.find('/');
  if (!AtIdentifier::is_valid(rest.substr(0, slash))) return false;
  if (slash == std::string_view::npos) return true;
  const std::string_view path = rest.substr(slash + 1);
  return Nsid::is_valid(path) || RepoPath::is_valid(path);
}

std::string_view AtUri::authority() const { return path_segment(text_, 2); }

std::string_view AtUri::collection() const { return path_segment(text_, 3); }

std::string_view AtUri::rkey() const { return path_segment(text_, 4); }

std::string quoted_for_error(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 64;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kShownBytesMax)) {
    quoted.push_back(is_ascii_graphic(c) || c == ' ' ? c : '?');
  }
  quoted += text.size() > kShownBytesMax ? "...\"" : "\"";
  return quoted;
}

}  // namespace standpipe
