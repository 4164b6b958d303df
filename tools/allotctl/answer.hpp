// What the commands do with an answer: ask for it, print it as JSON, read members out of it.
//
// The daemon may be of another version: a member that is missing or of another type reads as 0, as
// an empty text or as an empty list.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <allot/expected.hpp>

#include "tools/allotctl/command.hpp"

namespace allot::ctl {

[[nodiscard]] std::uint64_t number_of(const boost::json::object& object, const char* key);
[[nodiscard]] std::int64_t signed_of(const boost::json::object& object, const char* key);
[[nodiscard]] double real_of(const boost::json::object& object, const char* key);
[[nodiscard]] bool flag_of(const boost::json::object& object, const char* key);
/// Nothing in it can move the terminal's cursor: control characters become '?'.
[[nodiscard]] std::string text_of(const boost::json::object& object, const char* key);
[[nodiscard]] const boost::json::object& object_of(const boost::json::object& object,
                                                   const char* key);
/// The objects in the list; what is no object is left out.
[[nodiscard]] std::vector<const boost::json::object*> list_of(const boost::json::object& object,
                                                              const char* key);

/// The texts in the list, as text_of() gives them; what is no text is left out.
[[nodiscard]] std::vector<std::string> texts_of(const boost::json::object& object, const char* key);

/// {"request":NAME} and "region" if the user named one.
[[nodiscard]] boost::json::object request_of(const char* name, const Options& options);

/// The error in an answer whose "ok" is not true.
[[nodiscard]] Expected<void> check_ok(const boost::json::object& answer);

/// Prints `error` on standard error, in one line.
Exit fail(const Error& error);

/// Prints `value` for people who read JSON: two spaces a level.
void print_json(const boost::json::value& value);

/// Asks, fails if the daemon does, prints JSON if that is wanted, else calls `print`, whose result
/// is the exit status (also with JSON: `judge` looks at the answer without printing).
Exit ask_and_print(const boost::json::object& request, const Options& options,
                   const std::function<void(const boost::json::object&)>& print,
                   const std::function<Exit(const boost::json::object&)>& judge = nullptr);

}  // namespace allot::ctl
