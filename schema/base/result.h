// Result<T>: a value, or the reason why there is none. The error type of the whole project.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "schema/base/assert.h"

namespace standpipe {

// Few codes, because each has its own next action:
//   malformed    somebody else's bytes are wrong: count, keep aside, go on
//   unsupported  well-formed, but not something this build does: tell the user
//   not_found    the thing asked for does not exist
//   corrupt      our own bytes are wrong: stop, say where, overwrite nothing
//   io           the operating system or the disk refused: stop the writer
//   limit        a stated maximum was reached: tell the user which
//   closed       the other side, or the owner, has shut this down
//   busy         somebody else holds it: tell the user who
//   invalid      the caller's argument is not allowed: name it and what is
enum class Errc : std::uint8_t {
  malformed,
  unsupported,
  not_found,
  corrupt,
  io,
  limit,
  closed,
  busy,
  invalid,
};

std::string_view to_string(Errc code);

struct Error {
  Errc code;
  std::string detail;  // for people: what and where; never parsed
};

// "corrupt: group at ...", for logs and for stderr.
std::string to_string(const Error& error);

// Either a T or an Error. The member names follow std::expected, which neither of our compilers
// offers in C++20. value() and error() assert that the right side is held.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  template <typename U = T>
  requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error>)
      Result(U&& value)  // NOLINT(google-explicit-constructor): `return value;` is the point
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error)  // NOLINT(google-explicit-constructor): `return Error{...};` likewise
      : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & {
    STANDPIPE_ASSERT(has_value(), error().detail);
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    STANDPIPE_ASSERT(has_value(), error().detail);
    return *std::get_if<0>(&state_);
  }
  T&& value() && { return std::move(value()); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    STANDPIPE_ASSERT(state_.index() == 1, "Result holds a value");
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    STANDPIPE_ASSERT(state_.index() == 1, "Result holds a value");
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : error_(std::move(error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }

  const Error& error() const& {
    STANDPIPE_ASSERT(error_.has_value(), "Result holds a value");
    return *error_;
  }
  Error&& error() && {
    STANDPIPE_ASSERT(error_.has_value(), "Result holds a value");
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace standpipe

#define STANDPIPE_CONCAT_INNER(a, b) a##b
#define STANDPIPE_CONCAT(a, b) STANDPIPE_CONCAT_INNER(a, b)

// STANDPIPE_TRY(const Frame frame, parse(bytes)): declares `frame`, or returns the error.
#define STANDPIPE_TRY(declaration, expression)                         \
  auto STANDPIPE_CONCAT(try_result_, __LINE__) = (expression);         \
  if (!STANDPIPE_CONCAT(try_result_, __LINE__).has_value()) {          \
    return std::move(STANDPIPE_CONCAT(try_result_, __LINE__)).error(); \
  }                                                                    \
  declaration = std::move(STANDPIPE_CONCAT(try_result_, __LINE__)).value()

// The same for an expression whose value, if it has one, is not wanted.
#define STANDPIPE_CHECK(expression)                                    \
  do {                                                                 \
    if (auto check_result = (expression); !check_result.has_value()) { \
      return std::move(check_result).error();                          \
    }                                                                  \
  } while (false)
