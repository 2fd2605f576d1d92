#include "schema/datetime.h"

#include <cstdio>

#include "schema/ascii.h"

namespace standpipe {
namespace {

constexpr std::int64_t kSecondMs = 1000;
constexpr std::int64_t kMinuteMs = 60 * kSecondMs;
constexpr std::int64_t kHourMs = 60 * kMinuteMs;
constexpr std::int64_t kDayMs = 24 * kHourMs;
constexpr std::int64_t kYear0Ms = -62'167'219'200'000;  // 0000-01-01T00:00:00Z

// Days since 1970-01-01 in the proleptic Gregorian calendar, and back. After Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms"; years begin in March, eras have 400 years.
std::int64_t days_from_civil(std::int64_t year, int month, int day) {
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const std::int64_t year_of_era = y - era * 400;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct Civil {
  std::int64_t year;
  int month;
  int day;
};

Civil civil_from_days(std::int64_t days) {
  const std::int64_t z = days + 719'468;
  const std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
  const std::int64_t day_of_era = z - era * 146'097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

int days_in_month(int year, int month) {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

struct Fields {
  int year = 0, month = 0, day = 0;
  int hour = 0, minute = 0, second = 0, millisecond = 0;
  std::size_t fraction_digits = 0;
  int offset_minutes = 0;  // of the zone, east positive
  bool is_offset_minus_zero = false;
  bool has_small_letters = false;
};

// Reads the shape of RFC 3339 and leaves the ranges to be judged by others.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Fields> scan() {
    Fields fields;
    const bool is_read = number(4, fields.year) && literal('-') && number(2, fields.month) &&
                         literal('-') && number(2, fields.day) && letter('T', fields) &&
                         number(2, fields.hour) && literal(':') && number(2, fields.minute) &&
                         literal(':') && number(2, fields.second) && fraction(fields) &&
                         zone(fields) && position_ == text_.size();
    if (!is_read) return std::nullopt;
    return fields;
  }

 private:
  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

  bool literal(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }

  bool letter(char c, Fields& fields) {
    if (literal(c)) return true;
    if (!literal(static_cast<char>(c - 'A' + 'a'))) return false;
    fields.has_small_letters = true;
    return true;
  }

  bool number(int digits, int& value) {
    value = 0;
    for (int i = 0; i < digits; ++i, ++position_) {
      if (!is_ascii_digit(peek())) return false;
      value = value * 10 + (peek() - '0');
    }
    return true;
  }

  bool fraction(Fields& fields) {
    if (!literal('.')) return true;
    int weight = 100;
    for (; is_ascii_digit(peek()); ++position_, ++fields.fraction_digits) {
      fields.millisecond += weight * (peek() - '0');
      weight /= 10;
    }
    return fields.fraction_digits > 0;
  }

  bool zone(Fields& fields) {
    if (letter('Z', fields)) return true;
    const bool is_west = peek() == '-';
    if (!is_west && peek() != '+') return false;
    ++position_;
    int hours = 0;
    int minutes = 0;
    if (!number(2, hours) || !literal(':') || !number(2, minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    fields.offset_minutes = (is_west ? -1 : 1) * (hours * 60 + minutes);
    fields.is_offset_minus_zero = is_west && hours == 0 && minutes == 0;
    return true;
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

// nullopt if there is no such day or time of day.
std::optional<std::int64_t> to_ms(const Fields& fields, int second_max) {
  if (fields.month < 1 || fields.month > 12) return std::nullopt;
  if (fields.day < 1 || fields.day > days_in_month(fields.year, fields.month)) return std::nullopt;
  if (fields.hour > 23 || fields.minute > 59 || fields.second > second_max) return std::nullopt;
  const std::int64_t days = days_from_civil(fields.year, fields.month, fields.day);
  return days * kDayMs + fields.hour * kHourMs +
         (fields.minute - fields.offset_minutes) * kMinuteMs + fields.second * kSecondMs +
         fields.millisecond;
}

}  // namespace

Result<Datetime> Datetime::parse(std::string_view text) {
  const auto malformed = [](const char* why) {
    return Error{Errc::malformed, std::string("datetime: ") + why};
  };
  if (text.size() > kDatetimeBytesMax) return malformed("longer than 64 bytes");
  const std::optional<Fields> fields = Scanner(text).scan();
  if (!fields || fields->has_small_letters) return malformed("not YYYY-MM-DDTHH:MM:SS.sssZ");
  if (fields->fraction_digits > 20) return malformed("more than 20 digits of a fraction");
  if (fields->is_offset_minus_zero) return malformed("-00:00 is not allowed, use Z");
  const std::optional<std::int64_t> ms = to_ms(*fields, 59);
  if (!ms) return malformed("no such day or time of day");
  if (*ms < kYear0Ms) return malformed("before 0000-01-01T00:00:00Z");
  return Datetime(text, *ms);
}

std::optional<std::int64_t> parse_datetime_ms(std::string_view text) {
  const std::optional<Fields> fields = Scanner(text).scan();
  if (!fields) return std::nullopt;
  return to_ms(*fields, 60);  // 60 is a leap second: the first of the next minute
}

std::string format_datetime_ms(std::int64_t ms) {
  std::int64_t days = ms / kDayMs;
  std::int64_t rest = ms % kDayMs;
  if (rest < 0) {
    rest += kDayMs;
    --days;
  }
  const Civil civil = civil_from_days(days);
  char buffer[64];
  const int size =
      std::snprintf(buffer, sizeof(buffer), "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ",
                    static_cast<long long>(civil.year), civil.month, civil.day,
                    static_cast<int>(rest / kHourMs), static_cast<int>(rest / kMinuteMs % 60),
                    static_cast<int>(rest / kSecondMs % 60), static_cast<int>(rest % kSecondMs));
  return {buffer, static_cast<std::size_t>(size)};
}

}  // namespace standpipe
