// allotctl spans: how each region is cut up. The daemon answers in pages; they are put together
// here.

#include <algorithm>
#include <iostream>
#include <optional>
#include <utility>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/control_client.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

constexpr std::uint64_t kPageSpans = 10'000;

std::uint64_t page_of(std::uint64_t wanted, std::uint64_t have) {
  return wanted == 0 ? kPageSpans : std::min(wanted - have, kPageSpans);
}

// A page: so many spans, and the granule where the next page begins, if there is one.
struct Page {
  json::array spans;
  std::optional<std::uint64_t> next;
};

// Takes the page out of a region's object. Nothing if it is none.
std::optional<Page> take_page(json::object& region) {
  json::value* const spans = region.if_contains("spans");
  if (spans == nullptr || !spans->is_array()) return std::nullopt;
  Page page;
  page.spans = std::move(spans->get_array());
  const json::value* const next = region.if_contains("next");
  if (next != nullptr && next->is_number()) page.next = number_of(region, "next");
  return page;
}

Expected<Page> ask_page(ControlClient& client, const std::string& region, std::uint64_t first,
                        std::uint64_t limit) {
  json::object request;
  request["request"] = "spans";
  request["region"] = region;
  request["first"] = first;
  request["limit"] = limit;
  auto answer = client.ask(request);
  if (!answer) return answer.error();
  if (auto ok = check_ok(*answer); !ok) return ok.error();
  if (json::value* const regions = answer->if_contains("regions");
      regions != nullptr && regions->is_array() && !regions->get_array().empty() &&
      regions->get_array()[0].is_object()) {
    auto page = take_page(regions->get_array()[0].get_object());
    // A page must lead on, or this would never end.
    if (page && (!page->next || *page->next > first)) return std::move(*page);
  }
  return Error(Errc::kBadMessage, "a page of spans that leads nowhere");
}

// Appends to `region` the pages that follow it, up to the limit. "next" says what is left.
Expected<void> follow(ControlClient& client, const Options& options, json::object& region) {
  auto all = take_page(region);
  if (!all) return Error(Errc::kBadMessage, "a region without spans");
  const std::string name = text_of(region, "region");
  while (all->next && (options.limit == 0 || all->spans.size() < options.limit)) {
    auto page = ask_page(client, name, *all->next, page_of(options.limit, all->spans.size()));
    if (!page) return page.error();
    for (json::value& span : page->spans) all->spans.push_back(std::move(span));
    all->next = page->next;
  }
  region["spans"] = std::move(all->spans);
  region["next"] = all->next ? json::value(*all->next) : json::value();
  return {};
}

std::string state_text(const json::object& span) {
  return text_of(span, "state") == "orphan"
             ? "orphan"
             : "session " + std::to_string(number_of(span, "session"));
}

void print_spans(const json::object& answer) {
  Table table({{"REGION", Table::Align::kLeft},
               {"GRANULE"},
               {"LENGTH"},
               {"HOLDER", Table::Align::kLeft},
               {"CARVING", Table::Align::kLeft},
               {"BLOCK"},
               {"IN USE"},
               {"BLOCKS"},
               {"LIVE"},
               {"CACHED"},
               {"FREE"},
               {"TAIL"},
               {"AGE"}});
  std::string more;
  for (const json::object* const region : list_of(answer, "regions")) {
    for (const json::object* const span : list_of(*region, "spans")) {
      const auto count = [span](const char* key) { return std::to_string(number_of(*span, key)); };
      const auto bytes = [span](const char* key) { return bytes_text(number_of(*span, key)); };
      table.add({text_of(*region, "region"), count("first"), bytes("granted_bytes"),
                 state_text(*span), text_of(*span, "carving"), bytes("block_bytes"),
                 count("live_blocks"), count("blocks"), bytes("live_bytes"), bytes("cached_bytes"),
                 bytes("free_bytes"), bytes("tail_bytes"),
                 age_text(number_of(*span, "granted_unix_ns"))});
    }
    const json::value* const next = region->if_contains("next");
    if (next != nullptr && next->is_number()) {
      more += "more spans in " + text_of(*region, "region") + "; see --limit\n";
    }
  }
  std::cout << table.text() << more;
}

}  // namespace

Exit run_spans(const Options& options) {
  auto client = ControlClient::connect(options);
  if (!client) return fail(client.error());
  json::object request = request_of("spans", options);
  request["limit"] = page_of(options.limit, 0);
  auto answer = client->ask(request);
  if (!answer) return fail(answer.error());
  if (auto ok = check_ok(*answer); !ok) {
    if (options.json) print_json(*answer);
    return fail(ok.error());
  }
  if (json::value* const regions = answer->if_contains("regions");
      regions != nullptr && regions->is_array()) {
    for (json::value& region : regions->get_array()) {
      if (!region.is_object()) continue;
      if (auto done = follow(*client, options, region.get_object()); !done) {
        return fail(done.error());
      }
    }
  }
  if (options.json) {
    print_json(*answer);
  } else {
    print_spans(*answer);
  }
  return Exit::kOk;
}

}  // namespace allot::ctl
