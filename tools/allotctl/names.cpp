// allotctl names: which blocks are published, and who has found them.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

void print_names(const json::object& answer) {
  Table table({{"REGION", Table::Align::kLeft},
               {"NAME", Table::Align::kLeft},
               {"HANDLE"},
               {"SIZE"},
               {"UID"},
               {"PINS"},
               {"AGE"}});
  for (const json::object* const region : list_of(answer, "regions")) {
    for (const json::object* const one : list_of(*region, "names")) {
      const bool hidden = text_of(*one, "state") == "hidden";
      table.add({text_of(*region, "region"), hidden ? "(unpublished)" : text_of(*one, "name"),
                 text_of(*one, "handle"), hidden ? "-" : bytes_text(number_of(*one, "size_bytes")),
                 std::to_string(number_of(*one, "uid")), std::to_string(number_of(*one, "pins")),
                 age_text(number_of(*one, "published_unix_ns"))});
    }
  }
  std::cout << table.text();
}

}  // namespace

Exit run_names(const Options& options) {
  return ask_and_print(request_of("names", options), options, print_names);
}

}  // namespace allot::ctl
