// allotctl check: do the regions add up? Exit status 1 if one does not. The daemon is asked, or the files
// of a process are looked at (--offline).

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/check_offline.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

void print_sums(const json::object& region) {
  const auto bytes = [&](const char* key) { return bytes_text(number_of(region, key)); };
  std::cout << "  live " << bytes("live_bytes") << " + cached " << bytes("cached_bytes")
            << " + free " << bytes("free_bytes") << " + tail " << bytes("tail_bytes")
            << " = granted " << bytes("granted_bytes") << ", in "
            << count_text(number_of(region, "spans"), "span") << "; "
            << count_text(number_of(region, "live_blocks"), "live block") << '\n';
}

void print_region(const json::object& region) {
  const std::uint64_t violations = number_of(region, "violation_count");
  std::cout << text_of(region, "region") << ": "
            << (violations == 0 ? "ok" : count_text(violations, "violation"));
  if (!flag_of(region, "exact")) {
    std::cout << " (in use meanwhile";
    const std::int64_t difference = signed_of(region, "block_difference");
    if (difference != 0) std::cout << "; counters minus words: " << difference << " blocks";
    std::cout << ')';
  }
  std::cout << '\n';
  print_sums(region);
  if (region.contains("orphaned_spans")) {
    std::cout << "  repaired: " << count_text(number_of(region, "orphaned_spans"), "span")
              << " orphaned, " << count_text(number_of(region, "rewritten_spans"), "descriptor")
              << " rewritten, " << count_text(number_of(region, "freed_blocks"), "block")
              << " freed\n";
  }
  const auto listed = list_of(region, "violations");
  for (const json::object* const one : listed) std::cout << "  " << text_of(*one, "text") << '\n';
  if (listed.size() < violations) {
    std::cout << "  and " << violations - listed.size() << " more\n";
  }
  for (const std::string& what : texts_of(region, "not_checked")) {
    std::cout << "  not checked: " << what << '\n';
  }
}

void print_regions(const json::object& answer) {
  for (const json::object* const region : list_of(answer, "regions")) print_region(*region);
}

Exit judge(const json::object& answer) {
  for (const json::object* const region : list_of(answer, "regions")) {
    if (!flag_of(*region, "clean")) return Exit::kViolations;
  }
  return Exit::kOk;
}

}  // namespace

Exit run_check(const Options& options) {
  if (options.offline != 0) {
    const auto answer = check_offline(options);
    if (!answer) return fail(answer.error());
    options.json ? print_json(*answer) : print_regions(*answer);
    return judge(*answer);
  }
  json::object request = request_of("check", options);
  if (options.repair) request["repair"] = true;
  return ask_and_print(request, options, print_regions, judge);
}

}  // namespace allot::ctl
