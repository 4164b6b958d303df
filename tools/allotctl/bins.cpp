// allotctl bins, allotctl pools: how many blocks of each size a session has, uses and keeps.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

std::vector<Table::Column> columns_of(const Table::Column& name) {
  return {{"REGION", Table::Align::kLeft},
          {"SESSION"},
          {"LABEL", Table::Align::kLeft},
          name,
          {"BLOCK"},
          {"SPANS"},
          {"GRANTED"},
          {"LIVE"},
          {"CACHED"},
          {"PEAK"},
          {"ALLOCATIONS"},
          {"FREES"},
          {"FILLS"}};
}

void add_bin(Table& table, const json::object& region, const json::object& bin,
             const std::string& name) {
  const auto count = [&](const char* key) { return std::to_string(number_of(bin, key)); };
  table.add({text_of(region, "region"), count("session"), text_of(bin, "label"), name,
             bytes_text(number_of(bin, "block_bytes")), count("spans"), count("granted_blocks"),
             count("live_blocks"), count("cached_blocks"), count("peak_blocks"),
             count("allocations"), count("frees"), count("fills")});
}

template <class Name>
void print(const json::object& answer, const Table::Column& column, bool only_pools, Name name) {
  Table table(columns_of(column));
  for (const json::object* const region : list_of(answer, "regions")) {
    for (const json::object* const bin : list_of(*region, "bins")) {
      if (!only_pools || text_of(*bin, "kind") == "pool") {
        add_bin(table, *region, *bin, name(*bin));
      }
    }
  }
  std::cout << table.text();
}

}  // namespace

Exit run_bins(const Options& options) {
  return ask_and_print(request_of("bins", options), options, [](const json::object& answer) {
    print(answer, {"KIND", Table::Align::kLeft}, false,
          [](const json::object& bin) { return text_of(bin, "kind"); });
  });
}

Exit run_pools(const Options& options) {
  return ask_and_print(request_of("bins", options), options, [](const json::object& answer) {
    print(answer, {"POOL", Table::Align::kLeft}, true,
          [](const json::object& bin) { return text_of(bin, "pool"); });
  });
}

}  // namespace allot::ctl
