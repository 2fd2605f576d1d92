#include "schema/formats.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "schema/ascii.h"

namespace standpipe {
namespace {

constexpr std::size_t kUriBytesMax = 8192;
constexpr std::size_t kSchemeBytesMax = 81;
constexpr std::size_t kLanguageBytesMax = 1024;  // no tag that means something comes near

// RFC 5646, section 2.1, "irregular": tags of old that the grammar does not cover.
constexpr std::array<std::string_view, 17> kIrregularTags = {
    "en-gb-oed", "i-ami", "i-bnn",     "i-default", "i-enochian", "i-hak",
    "i-klingon", "i-lux", "i-mingo",   "i-navajo",  "i-pwn",      "i-tao",
    "i-tay",     "i-tsu", "sgn-be-fr", "sgn-be-nl", "sgn-ch-de"};

template <typename Predicate>
bool all_of(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

bool is_between(std::size_t low, std::string_view text, std::size_t high) {
  return text.size() >= low && text.size() <= high;
}

bool is_letters(std::string_view text, std::size_t size) {
  return text.size() == size && all_of(text, is_ascii_letter);
}

bool has_repetition(std::vector<std::string> subtags) {
  std::sort(subtags.begin(), subtags.end());
  return std::adjacent_find(subtags.begin(), subtags.end()) != subtags.end();
}

// Walks the subtags of a tag in lower case, in the order of the grammar of RFC 5646.
class LanguageTag {
 public:
  explicit LanguageTag(std::vector<std::string> subtags) : subtags_(std::move(subtags)) {}

  bool is_valid() {
    if (peek() == "x") return private_use() && at_ == subtags_.size();
    next();  // the language, which the caller has checked
    for (int i = 0; i < 3 && is_letters(peek(), 3); ++i) next();  // extended languages
    if (is_letters(peek(), 4)) next();                            // script
    if (is_letters(peek(), 2) || is_region_number(peek())) next();
    std::vector<std::string> variants;
    while (is_variant(peek())) variants.push_back(next());
    std::vector<std::string> singletons;
    while (peek().size() == 1 && peek() != "x") {
      singletons.push_back(next());
      if (!is_between(2, peek(), 8)) return false;
      while (is_between(2, peek(), 8)) next();
    }
    if (peek() == "x" && !private_use()) return false;
    return at_ == subtags_.size() && !has_repetition(variants) && !has_repetition(singletons);
  }

 private:
  static bool is_region_number(std::string_view text) {
    return text.size() == 3 && all_of(text, is_ascii_digit);
  }

  static bool is_variant(std::string_view text) {
    return is_between(5, text, 8) || (text.size() == 4 && is_ascii_digit(text.front()));
  }

  std::string_view peek() const {
    return at_ < subtags_.size() ? std::string_view(subtags_[at_]) : std::string_view();
  }

  const std::string& next() { return subtags_[at_++]; }

  bool private_use() {
    next();
    if (peek().empty()) return false;
    at_ = subtags_.size();
    return true;
  }

  std::vector<std::string> subtags_;
  std::size_t at_ = 0;
};

}  // namespace

bool is_uri_syntax(std::string_view text) {
  if (text.size() > kUriBytesMax || text.empty() || !is_ascii_letter(text.front())) return false;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon > kSchemeBytesMax) return false;
  const bool is_scheme = all_of(text.substr(0, colon), [](char c) {
    return is_ascii_alphanumeric(c) || c == '+' || c == '-' || c == '.';
  });
  const std::string_view rest = text.substr(colon + 1);
  return is_scheme && !rest.empty() && all_of(rest, is_ascii_graphic);
}

bool is_language_syntax(std::string_view text) {
  if (text.size() > kLanguageBytesMax) return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), to_ascii_lower);
  if (std::find(kIrregularTags.begin(), kIrregularTags.end(), lower) != kIrregularTags.end()) {
    return true;
  }
  const std::string_view language = text.substr(0, text.find('-'));
  const bool is_private = language == "x" || language == "X";
  if (!is_private && !(is_between(2, language, 3) && all_of(language, is_ascii_lower)))
    return false;
  std::vector<std::string> subtags;
  for (std::string_view rest = lower;;) {
    const std::size_t hyphen = rest.find('-');
    const std::string_view subtag = rest.substr(0, hyphen);
    if (!is_between(1, subtag, 8) || !all_of(subtag, is_ascii_alphanumeric)) return false;
    subtags.emplace_back(subtag);
    if (hyphen == std::string_view::npos) break;
    rest.remove_prefix(hyphen + 1);
  }
  return LanguageTag(std::move(subtags)).is_valid();
}

}  // namespace standpipe
