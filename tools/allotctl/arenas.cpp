// allotctl arenas: which arenas lie in a region, how full they are, who uses them; those that
// processes share, and those of one process.

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
               {"SESSION"},
               {"UID"},
               {"AGE"},
               {"MADE AT", Table::Align::kLeft}});
  for (const json::object* const region : list_of(answer, "regions")) {
    for (const json::object* const one : list_of(*region, "arenas")) {
      const std::string state = text_of(*one, "state");
      const bool hidden = state == "hidden";
      const bool exclusive = state == "exclusive";
      const auto of_chunks = [exclusive](const std::string& text) {
        return exclusive ? std::string("-") : text;
      };
      table.add({text_of(*region, "region"), hidden ? "(unpublished)" : text_of(*one, "name"),
                 text_of(*one, "kind"), bytes_text(number_of(*one, "used_bytes")),
                 bytes_text(number_of(*one, "committed_bytes")),
                 bytes_text(number_of(*one, "reserved_bytes")),
                 of_chunks(bytes_text(number_of(*one, "rest_bytes"))),
                 of_chunks(std::to_string(number_of(*one, "open_chunks"))),
                 std::to_string(exclusive ? 1 : number_of(*one, "pins")),
                 exclusive ? std::to_string(number_of(*one, "session")) : "-",
                 std::to_string(number_of(*one, "uid")),
                 hidden || exclusive ? "-" : age_text(number_of(*one, "published_unix_ns")),
                 text_of(*one, "made_at")});
    }
  }
  std::cout << table.text();
  for (const json::object* const region : list_of(answer, "regions")) {
    if (flag_of(*region, "more")) {
      std::cout << "more arenas of single processes in " << text_of(*region, "region") << '\n';
    }
  }
}

}  // namespace

Exit run_arenas(const Options& options) {
  return ask_and_print(request_of("arenas", options), options, print_arenas);
}

}  // namespace allot::ctl
