#include "tools/allotctl/drawing/top_text.hpp"

#include <algorithm>
#include <vector>

#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace {

constexpr double kSecondsPerNs = 1e-9;

// The same region in the sample before; nullptr if there is none, or if another daemon has made it.
const TopRegion* region_before(const TopSample& before, const TopRegion& region) {
  const auto found =
      std::find_if(before.regions.begin(), before.regions.end(), [&](const TopRegion& one) {
        return one.name == region.name && one.created_unix_ns == region.created_unix_ns;
      });
  if (found == before.regions.end() || found->now_monotonic_ns >= region.now_monotonic_ns) {
    return nullptr;
  }
  return &*found;
}

const TopSession* session_before(const TopRegion& before, const TopSession& session) {
  const auto found =
      std::find_if(before.sessions.begin(), before.sessions.end(), [&](const TopSession& one) {
        return one.session == session.session && one.incarnation == session.incarnation;
      });
  return found == before.sessions.end() ? nullptr : &*found;
}

double seconds(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) * kSecondsPerNs : 0;
}

// A counter may have shrunk: a heap whose thread ended took its share with it.
double rate(std::uint64_t from, std::uint64_t to, double passed_s) {
  return to > from && passed_s > 0 ? static_cast<double>(to - from) / passed_s : 0;
}

double region_rate(const TopRegion& now, const TopRegion* before) {
  if (before == nullptr) return rate(0, now.grants, seconds(now.created_unix_ns, now.now_unix_ns));
  return rate(before->grants, now.grants, seconds(before->now_monotonic_ns, now.now_monotonic_ns));
}

std::string ladder(const TopSample& now, const TopSample& before) {
  Table table({{"REGION", Table::Align::kLeft},
               {"RESERVED"},
               {"COMMITTED"},
               {"GRANTED"},
               {"LIVE"},
               {"CACHED"},
               {"FREE"},
               {"TAIL"},
               {"SESSIONS"},
               {"GRANTS/S"}});
  std::string moved;
  for (const TopRegion& one : now.regions) {
    table.add({one.name, bytes_text(one.reserved_bytes), bytes_text(one.committed_bytes),
               bytes_text(one.granted_bytes), bytes_text(one.live_bytes),
               bytes_text(one.cached_bytes), bytes_text(one.free_bytes), bytes_text(one.tail_bytes),
               std::to_string(one.sessions.size()),
               rate_text(region_rate(one, region_before(before, one)))});
    if (!one.exact) moved += (moved.empty() ? "" : ", ") + one.name;
  }
  std::string out = table.text();
  if (!moved.empty()) {
    out +=
        "in use while it was read (live + cached + free + tail may differ from granted): " + moved +
        '\n';
  }
  return out;
}

std::string low_water(const TopSample& now) {
  Table table({{"LOW WATER", Table::Align::kLeft},
               {"COMMIT LIMIT"},
               {"MOST GRANTED"},
               {"LEAST ROOM"},
               {"LEAST AVAILABLE"},
               {"HIGHEST ADDRESS"}});
  for (const TopRegion& one : now.regions) {
    table.add({one.name, bytes_text(one.commit_limit_bytes), bytes_text(one.most_granted_bytes),
               bytes_text(one.least_room_bytes),
               one.least_available_bytes ? bytes_text(*one.least_available_bytes) : "-",
               bytes_text(one.high_water_bytes)});
  }
  return table.text();
}

struct Busy {
  const TopRegion* region;
  const TopSession* session;
  TopRates rates;
};

// What a session did most of counts; of those that did nothing, who has most.
bool is_busier(const Busy& a, const Busy& b) {
  const auto work = [](const Busy& one) {
    return std::max(one.rates.allocations, one.rates.frees);
  };
  if (work(a) != work(b)) return work(a) > work(b);
  if (a.rates.grants != b.rates.grants) return a.rates.grants > b.rates.grants;
  return a.session->live_bytes > b.session->live_bytes;
}

std::string busiest_table(const TopSample& now, const TopSample& before, std::size_t busiest) {
  std::vector<Busy> all;
  for (const TopRegion& region : now.regions) {
    const TopRegion* const earlier = region_before(before, region);
    for (const TopSession& one : region.sessions) {
      all.push_back({&region, &one, rates_of(region, one, earlier)});
    }
  }
  if (all.empty()) return "no sessions\n";
  const std::size_t shown = std::min(busiest, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), all.end(),
                    is_busier);
  Table table({{"BUSIEST", Table::Align::kLeft},
               {"SESSION"},
               {"LABEL", Table::Align::kLeft},
               {"PID"},
               {"UID"},
               {"ALLOCS/S"},
               {"FREES/S"},
               {"GRANTS/S"},
               {"GRANTED"},
               {"LIVE"},
               {"BLOCKS"}});
  for (std::size_t i = 0; i < shown; ++i) {
    const TopSession& one = *all[i].session;
    table.add({all[i].region->name,
               std::to_string(one.session) + "." + std::to_string(one.incarnation), one.label,
               std::to_string(one.pid), std::to_string(one.uid),
               rate_text(all[i].rates.allocations), rate_text(all[i].rates.frees),
               rate_text(all[i].rates.grants), bytes_text(one.granted_bytes),
               bytes_text(one.live_bytes), std::to_string(one.live_blocks)});
  }
  std::string out = table.text();
  if (shown < all.size()) out += "and " + count_text(all.size() - shown, "session") + " more\n";
  return out;
}

}  // namespace

TopRates rates_of(const TopRegion& region, const TopSession& now, const TopRegion* before) {
  const TopSession* const earlier = before == nullptr ? nullptr : session_before(*before, now);
  if (earlier == nullptr) {
    const double age_s = seconds(now.connected_unix_ns, region.now_unix_ns);
    return {rate(0, now.grants, age_s), rate(0, now.allocations, age_s), rate(0, now.frees, age_s)};
  }
  const double passed_s = seconds(before->now_monotonic_ns, region.now_monotonic_ns);
  return {rate(earlier->grants, now.grants, passed_s),
          rate(earlier->allocations, now.allocations, passed_s),
          rate(earlier->frees, now.frees, passed_s)};
}

std::string top_text(const TopSample& now, const TopSample& before, std::size_t busiest) {
  return ladder(now, before) + '\n' + low_water(now) + '\n' + busiest_table(now, before, busiest);
}

std::string cut_lines(const std::string& text, std::size_t width) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out += text.substr(begin, std::min(end - begin, width)) + '\n';
    begin = end + 1;
  }
  return out;
}

}  // namespace allot::ctl
