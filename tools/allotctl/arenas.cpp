// allotctl arenas: which arenas and arrays processes share, how full they are, who uses them.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

void print_arenas(const json::object& answer) {
  Table table({{"REGION", Table::Align::kLeft},
               {"NAME", Table::Align::kLeft},
               {"KIND", Table::Align::kLeft},
               {"USED"},
               {"COMMITTED"},
               {"RESERVED"},
               {"REST"},
               {"OPEN"},
               {"USERS"},
               {"UID"},
               {"AGE"},
               {"MADE AT", Table::Align::kLeft}});
  for (const json::object* const region : list_of(answer, "regions")) {
    for (const json::object* const one : list_of(*region, "arenas")) {
      const bool hidden = text_of(*one, "state") == "hidden";
      table.add({text_of(*region, "region"), hidden ? "(unpublished)" : text_of(*one, "name"),
                 text_of(*one, "kind"), bytes_text(number_of(*one, "used_bytes")),
                 bytes_text(number_of(*one, "committed_bytes")),
                 bytes_text(number_of(*one, "reserved_bytes")),
                 bytes_text(number_of(*one, "rest_bytes")),
                 std::to_string(number_of(*one, "open_chunks")),
                 std::to_string(number_of(*one, "pins")), std::to_string(number_of(*one, "uid")),
                 hidden ? "-" : age_text(number_of(*one, "published_unix_ns")),
                 text_of(*one, "made_at")});
    }
  }
  std::cout << table.text();
}

}  // namespace

Exit run_arenas(const Options& options) {
  return ask_and_print(request_of("arenas", options), options, print_arenas);
}

}  // namespace allot::ctl
