// allotctl holders: who holds a block, or what a session holds, and since when.

#include <charconv>
#include <iostream>
#include <optional>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

constexpr const char* kNothing = "-";

std::string session_text(const json::object& holder) {
  const std::string id = std::to_string(number_of(holder, "session"));
  const std::uint64_t incarnation = number_of(holder, "incarnation");
  return incarnation == 0 ? id : id + "." + std::to_string(incarnation);
}

void add_holder(Table& table, const char* what, const json::object& holder) {
  if (holder.empty()) {
    table.add({what, kNothing, kNothing, kNothing, kNothing, kNothing, kNothing});
    return;
  }
  table.add({what, session_text(holder), text_of(holder, "state"), text_of(holder, "label"),
             std::to_string(number_of(holder, "pid")), std::to_string(number_of(holder, "uid")),
             age_text(number_of(holder, "connected_unix_ns"))});
}

void print_span(const json::object& span) {
  std::cout << "  span: granule " << number_of(span, "first") << ", "
            << count_text(number_of(span, "granules"), "granule") << ", " << text_of(span, "kind")
            << ", " << count_text(number_of(span, "blocks"), "block") << " of "
            << bytes_text(number_of(span, "block_bytes")) << " (bin " << number_of(span, "bin")
            << "), " << text_of(span, "state") << ", charged to uid " << number_of(span, "uid")
            << ", age " << age_text(number_of(span, "granted_unix_ns")) << '\n';
}

void print_block(const json::object& region) {
  std::cout << text_of(region, "handle") << " in " << text_of(region, "region") << ": "
            << bytes_text(number_of(region, "size_bytes")) << ", " << text_of(region, "state")
            << (flag_of(region, "exposed") ? ", exposed" : "") << '\n';
  const json::object& span = object_of(region, "span");
  print_span(span);
  const json::object& name = object_of(region, "published");
  if (!name.empty()) {
    const bool is_hidden = text_of(name, "state") == "hidden";
    std::cout << "  name: " << (is_hidden ? "(unpublished)" : text_of(name, "name")) << ", by uid "
              << number_of(name, "uid") << ", age "
              << age_text(number_of(name, "published_unix_ns")) << '\n';
  }
  Table table({{"HOLDS", Table::Align::kLeft},
               {"SESSION"},
               {"STATE", Table::Align::kLeft},
               {"LABEL", Table::Align::kLeft},
               {"PID"},
               {"UID"},
               {"AGE"}});
  add_holder(table, "block", object_of(region, "owner"));
  add_holder(table, "span", object_of(span, "holder"));
  for (const json::object* const pin : list_of(region, "pins")) add_holder(table, "pin", *pin);
  std::cout << table.text();
}

void print_session(const json::object& region) {
  const json::object& holder = object_of(region, "holder");
  std::cout << "session " << session_text(holder) << " in " << text_of(region, "region") << ": "
            << text_of(holder, "state") << ", label '" << text_of(holder, "label") << "', pid "
            << number_of(holder, "pid") << " of uid " << number_of(holder, "uid") << ", age "
            << age_text(number_of(holder, "connected_unix_ns")) << '\n'
            << "  owns " << count_text(number_of(region, "live_blocks"), "live block") << " of "
            << bytes_text(number_of(region, "live_bytes")) << ", "
            << number_of(region, "offered_blocks") << " offered, "
            << number_of(region, "exposed_blocks") << " exposed, "
            << number_of(region, "blocks_elsewhere") << " in spans that are not its own\n";
  Table table({{"HOLDS", Table::Align::kLeft},
               {"WHAT", Table::Align::kLeft},
               {"COUNT"},
               {"BYTES"},
               {"LIVE"},
               {"BLOCKS"},
               {"OLDEST"}});
  for (const json::object* const one : list_of(region, "spans")) {
    table.add({"spans", text_of(*one, "kind"), std::to_string(number_of(*one, "spans")),
               bytes_text(number_of(*one, "granted_bytes")),
               bytes_text(number_of(*one, "live_bytes")),
               std::to_string(number_of(*one, "live_blocks")),
               age_text(number_of(*one, "oldest_unix_ns"))});
  }
  for (const json::object* const one : list_of(region, "reservations")) {
    table.add({"reservation", "granule " + std::to_string(number_of(*one, "first")), "1",
               bytes_text(number_of(*one, "size_bytes")), kNothing, kNothing, kNothing});
  }
  const auto add_name = [&](const char* what, const json::object& one) {
    const bool is_hidden = text_of(one, "state") == "hidden";
    const std::string name = is_hidden ? "(unpublished)" : text_of(one, "name");
    table.add({what, name + " " + text_of(one, "handle"), "1",
               is_hidden ? kNothing : bytes_text(number_of(one, "size_bytes")), kNothing, kNothing,
               age_text(number_of(one, "published_unix_ns"))});
  };
  for (const json::object* const one : list_of(region, "pins")) add_name("pin", *one);
  for (const json::object* const one : list_of(region, "names")) add_name("name of its uid", *one);
  std::cout << table.text();
}

std::optional<std::uint64_t> number_in(std::string_view digits) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failed != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

// "17" or "17.4", as `sessions` prints it.
Expected<void> take_session(const std::string& text, json::object& request) {
  const std::size_t dot = text.find('.');
  const auto id = number_in(std::string_view(text).substr(0, dot));
  const auto incarnation = dot == std::string::npos
                               ? std::optional<std::uint64_t>(0)
                               : number_in(std::string_view(text).substr(dot + 1));
  if (!id || !incarnation || (dot != std::string::npos && *incarnation == 0)) {
    return Error(Errc::kBadArgument, "a session is ID or ID.INCARNATION, not '" + text + "'");
  }
  request["session"] = *id;
  if (*incarnation != 0) request["incarnation"] = *incarnation;
  return {};
}

}  // namespace

Exit run_holders(const Options& options) {
  json::object request = request_of("holders", options);
  if (options.session.empty()) {
    request["handle"] = options.handle;
  } else if (auto taken = take_session(options.session, request); !taken) {
    return fail(taken.error());
  }
  return ask_and_print(request, options, [&](const json::object& answer) {
    for (const json::object* const region : list_of(answer, "regions")) {
      options.session.empty() ? print_block(*region) : print_session(*region);
    }
  });
}

}  // namespace allot::ctl
