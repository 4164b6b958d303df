// Expected<T>: a value, or an Error that says what went wrong and what to do.
//
// Returned by every call that is not on the fast path. boost::system::result carries it: the
// interface of std::expected as far as C++20 has it. value() on an error throws
// std::system_error; nothing else here throws.
#pragma once

#include <string>
#include <system_error>
#include <utility>

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <allot/errc.hpp>

namespace allot {

/// A named error and, where there is more to say, who, how much, which limit and what to do.
struct Error {
  std::error_code code;
  std::string detail;

  Error() = default;
  Error(Errc errc, std::string text = {}) : code(errc), detail(std::move(text)) {}
  Error(std::error_code error, std::string text = {}) : code(error), detail(std::move(text)) {}

  /// "what happened: detail", one line.
  [[nodiscard]] std::string message() const {
    return detail.empty() ? code.message() : code.message() + ": " + detail;
  }
  /// The Errc, or kSystem if the code is the operating system's.
  [[nodiscard]] Errc errc() const noexcept {
    return code.category() == error_category() ? static_cast<Errc>(code.value()) : Errc::kSystem;
  }
  friend bool operator==(const Error& error, Errc errc) noexcept { return error.code == errc; }
};

[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location& /*where*/) {
  throw std::system_error(error.code, error.detail);
}

template <class T>
using Expected = boost::system::result<T, Error>;

}  // namespace allot
