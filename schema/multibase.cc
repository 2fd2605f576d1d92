#include "schema/multibase.h"

#include <array>
#include <cstdint>

namespace standpipe {
namespace {

constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t kNotInAlphabet = 255;

using Values = std::array<std::uint8_t, 256>;  // of each character

constexpr Values make_values(std::string_view alphabet) {
  Values values{};
  for (std::uint8_t& value : values) value = kNotInAlphabet;
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

constexpr Values kBase32Values = make_values(kBase32);
constexpr Values kBase58Values = make_values(kBase58);
constexpr Values kBase64Values = make_values(kBase64);

Error malformed(const char* base, const std::string& why) {
  return {Errc::malformed, std::string(base) + ": " + why};
}

Error not_in_alphabet(const char* base, std::size_t at) {
  return malformed(base, "character " + std::to_string(at) + " is not of the alphabet");
}

// Alphabets of a power of two, `bits` to a character.
std::string to_bits_text(ByteView bytes, std::string_view alphabet, unsigned bits) {
  std::string text;
  text.reserve((bytes.size() * 8 + bits - 1) / bits);
  const std::uint32_t mask = (1U << bits) - 1;
  std::uint32_t buffer = 0;
  unsigned buffered = 0;
  for (const std::byte byte : bytes) {
    buffer = (buffer << 8) | std::to_integer<std::uint32_t>(byte);
    buffered += 8;
    while (buffered >= bits) {
      buffered -= bits;
      text.push_back(alphabet[(buffer >> buffered) & mask]);
    }
  }
  if (buffered > 0) text.push_back(alphabet[(buffer << (bits - buffered)) & mask]);
  return text;
}

Result<Bytes> parse_bits_text(std::string_view text, const Values& values, unsigned bits,
                              const char* base) {
  Bytes bytes;
  bytes.reserve(text.size() * bits / 8);
  std::uint32_t buffer = 0;
  unsigned buffered = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t value = values[static_cast<unsigned char>(text[i])];
    if (value == kNotInAlphabet) return not_in_alphabet(base, i);
    buffer = (buffer << bits) | value;
    buffered += bits;
    if (buffered >= 8) {
      buffered -= 8;
      bytes.push_back(static_cast<std::byte>((buffer >> buffered) & 0xFFU));
    }
  }
  if (buffered >= bits) return malformed(base, "a length that no value has");
  if ((buffer & ((1U << buffered) - 1)) != 0) return malformed(base, "left-over bits are not zero");
  return bytes;
}

}  // namespace

std::string to_base32(ByteView bytes) { return to_bits_text(bytes, kBase32, 5); }

Result<Bytes> parse_base32(std::string_view text) {
  return parse_bits_text(text, kBase32Values, 5, "base 32");
}

std::string to_base64(ByteView bytes) { return to_bits_text(bytes, kBase64, 6); }

Result<Bytes> parse_base64(std::string_view text) {
  const std::size_t end = text.find('=');
  if (end != std::string_view::npos) {
    const std::size_t padding = text.size() - end;
    if (text.size() % 4 != 0 || padding > 2 || text.back() != '=') {
      return malformed("base 64", "wrong padding");
    }
    text = text.substr(0, end);
  }
  return parse_bits_text(text, kBase64Values, 6, "base 64");
}

std::string to_base58(ByteView bytes) {
  STANDPIPE_ASSERT(bytes.size() <= kBase58BytesMax, "base 58 is for short values");
  std::size_t zeros = 0;
  while (zeros < bytes.size() && bytes[zeros] == std::byte{0}) ++zeros;
  std::string digits;  // values of base 58, low one first
  for (const std::byte byte : bytes.subspan(zeros)) {
    unsigned carry = std::to_integer<unsigned>(byte);
    for (char& digit : digits) {
      carry += static_cast<unsigned>(digit) * 256;
      digit = static_cast<char>(carry % 58);
      carry /= 58;
    }
    for (; carry > 0; carry /= 58) digits.push_back(static_cast<char>(carry % 58));
  }
  std::string text(zeros, kBase58[0]);
  for (std::size_t i = digits.size(); i > 0; --i) {
    text.push_back(kBase58[static_cast<std::size_t>(digits[i - 1])]);
  }
  return text;
}

Result<Bytes> parse_base58(std::string_view text) {
  if (text.size() > kBase58BytesMax) {
    return Error{Errc::limit, "base 58: longer than " + std::to_string(kBase58BytesMax)};
  }
  std::size_t zeros = 0;
  while (zeros < text.size() && text[zeros] == kBase58[0]) ++zeros;
  Bytes low_first;
  for (std::size_t i = zeros; i < text.size(); ++i) {
    const std::uint8_t value = kBase58Values[static_cast<unsigned char>(text[i])];
    if (value == kNotInAlphabet) return not_in_alphabet("base 58", i);
    unsigned carry = value;
    for (std::byte& byte : low_first) {
      carry += std::to_integer<unsigned>(byte) * 58;
      byte = static_cast<std::byte>(carry & 0xFFU);
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) low_first.push_back(static_cast<std::byte>(carry & 0xFFU));
  }
  Bytes bytes(zeros, std::byte{0});
  bytes.insert(bytes.end(), low_first.rbegin(), low_first.rend());
  return bytes;
}

Result<Bytes> parse_multibase(std::string_view text) {
  if (text.empty()) return malformed("multibase", "empty");
  if (text[0] == 'b') return parse_base32(text.substr(1));
  if (text[0] == 'z') return parse_base58(text.substr(1));
  return Error{Errc::unsupported, "multibase other than 'b' (base 32) and 'z' (base 58)"};
}

}  // namespace standpipe
