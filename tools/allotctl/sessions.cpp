// allotctl sessions: who uses each region, and how much of it.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

void print_sessions(const json::object& answer) {
  Table table({{"REGION", Table::Align::kLeft},
               {"SESSION"},
               {"STATE", Table::Align::kLeft},
               {"LABEL", Table::Align::kLeft},
               {"PID"},
               {"UID"},
               {"HEAPS"},
               {"GRANTED"},
               {"LIVE"},
               {"BLOCKS"},
               {"CACHED"},
               {"OFFERED"},
               {"AGE"}});
  for (const json::object* const region : list_of(answer, "regions")) {
    for (const json::object* const one : list_of(*region, "sessions")) {
      const auto count = [one](const char* key) { return std::to_string(number_of(*one, key)); };
      const auto bytes = [one](const char* key) { return bytes_text(number_of(*one, key)); };
      table.add({text_of(*region, "region"), count("session") + "." + count("incarnation"),
                 text_of(*one, "state"), text_of(*one, "label"), count("pid"), count("uid"),
                 count("heaps"), bytes("granted_bytes"), bytes("live_bytes"), count("live_blocks"),
                 bytes("cached_bytes"), count("offered_blocks"),
                 age_text(number_of(*one, "connected_unix_ns"))});
    }
  }
  std::cout << table.text();
}

}  // namespace

Exit run_sessions(const Options& options) {
  return ask_and_print(request_of("sessions", options), options, print_sessions);
}

}  // namespace allot::ctl
