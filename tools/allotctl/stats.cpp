// allotctl stats: how full each region is.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

std::string bytes_of(const json::object& object, const char* key) {
  return bytes_text(number_of(object, key));
}

void print_table(const json::object& answer) {
  Table table({{"REGION", Table::Align::kLeft},
               {"RESERVED"},
               {"COMMITTED"},
               {"LIVE"},
               {"CACHED"},
               {"SESSIONS"},
               {"GRANTS/S"}});
  for (const json::object* const region : list_of(answer, "regions")) {
    table.add({text_of(*region, "region"), bytes_of(*region, "reserved_bytes"),
               bytes_of(object_of(*region, "committed"), "total_bytes"),
               bytes_of(*region, "live_bytes"), bytes_of(*region, "cached_bytes"),
               std::to_string(number_of(*region, "sessions")),
               rate_text(real_of(*region, "grants_per_second"))});
  }
  std::cout << table.text();
}

// The ladder: each step is part of the one above it, but for what the files hold.
void print_ladder(const json::object& region) {
  std::cout << "region " << text_of(region, "region") << ", made "
            << age_text(number_of(region, "created_unix_ns")) << " ago\n";
  Table table({{"", Table::Align::kLeft}, {""}, {"", Table::Align::kLeft}});
  const json::object& committed = object_of(region, "committed");
  const auto add = [&](const char* step, const std::string& value, const std::string& remark) {
    table.add({std::string("  ") + step, value, remark});
  };
  const auto count = [&](const char* key) { return std::to_string(number_of(region, key)); };
  add("reserved", bytes_of(region, "reserved_bytes"), "address space");
  add("high water", bytes_of(region, "high_water_bytes"), "ever granted up to here");
  add("commit limit", bytes_of(region, "commit_limit_bytes"), "of all spans granted");
  add("committed", bytes_of(committed, "total_bytes"),
      "memory: data " + bytes_of(committed, "data_bytes") + ", ledger " +
          bytes_of(committed, "ledger_bytes") + ", directory " +
          bytes_of(committed, "directory_bytes"));
  add("granted", bytes_of(region, "granted_bytes"),
      "in " + count_text(number_of(region, "spans"), "span"));
  add("  live", bytes_of(region, "live_bytes"),
      "in " + count_text(number_of(region, "live_blocks"), "block"));
  add("  cached", bytes_of(region, "cached_bytes"), "free, for the session that has the span");
  add("  free", bytes_of(region, "free_bytes"), "in orphans");
  add("  tail", bytes_of(region, "tail_bytes"), "left over by the carving");
  add("dirty", bytes_of(region, "dirty_bytes"), "returned, memory not given back yet");
  add("sessions", count("sessions"), count_text(number_of(region, "heaps"), "heap"));
  add("orphans", count("orphans"), "spans whose session is gone");
  add("names", count("names"), count("hidden_names") + " hidden, still pinned");
  add("grants", count("grants"), rate_text(real_of(region, "grants_per_second")) + " a second");
  add("returns", count("returns"), "");
  add("recoveries", count("recoveries"),
      count_text(number_of(region, "recovered_blocks"), "block"));
  add("refusals", count("refusals"), "requests beyond a limit");
  const std::string text = table.text();
  std::cout << text.substr(text.find('\n') + 1);  // no headings
}

}  // namespace

Exit run_stats(const Options& options) {
  return ask_and_print(request_of("stats", options), options, [&](const json::object& answer) {
    if (!options.full) return print_table(answer);
    for (const json::object* const region : list_of(answer, "regions")) print_ladder(*region);
  });
}

}  // namespace allot::ctl
