// Record keys and revs as the simulation makes them: TIDs by the million, into text of fixed size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace standpipe::tools::sim {

inline constexpr std::size_t kTidBytes = 13;

class TidText {
 public:
  // `clock_id` below 1024.
  TidText(std::uint64_t micros, unsigned clock_id) {
    constexpr std::string_view kDigits = "234567abcdefghijklmnopqrstuvwxyz";
    std::uint64_t value = (micros << 10) | clock_id;
    for (std::size_t i = kTidBytes; i > 0; --i) {
      text_[i - 1] = kDigits[value & 31U];
      value >>= 5;
    }
  }
  std::string_view view() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, kTidBytes> text_;
};

}  // namespace standpipe::tools::sim
